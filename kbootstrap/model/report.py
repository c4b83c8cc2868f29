"""What a run found: results of checks, for text and JSON alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One verified statement. *detail* is the evidence; *hint* the next command when it is not so."""

    check: str
    where: str
    ok: bool
    detail: str
    hint: str = ""
