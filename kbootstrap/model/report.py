"""What a run found: results of checks, for text and JSON alike."""

from __future__ import annotations

from dataclasses import dataclass

from kbootstrap.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One verified statement. *detail* is the evidence; *hint* the next command when it is not so."""

    check: str
    where: str
    ok: bool
    detail: str
    hint: str = ""

    @property
    def problem(self) -> Problem:
        """A check that failed, as one of an error's problems."""
        return Problem(where=f"{self.check} {self.where}", what=self.detail, hint=self.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A named reason why something does not run: *what* in words, *hint* the command that mends it, *line* the words that told it."""

    id: str
    what: str
    hint: str
    line: str = ""
    symptom: bool = False  # it tells of another's fault
