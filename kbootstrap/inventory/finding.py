"""What the checks of an inventory say: a problem with a severity and a place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from kbootstrap.errors import Problem


class Severity(StrEnum):
    """An error refuses the inventory, a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a text, counted from 1 as editors do."""

    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Problem):
    """A problem in an inventory; ``where`` is ``file:line:column``."""

    severity: Severity = Severity.ERROR
    mark: Mark = Mark()

    def __str__(self) -> str:
        severity = "warning: " if self.severity is Severity.WARNING else ""
        text = f"{self.where}  {severity}{self.what}."
        return f"{text} {self.hint}" if self.hint else text


def nearest(word: str, known: Iterable[str]) -> str:
    """The entry of *known* that *word* was probably meant to be, or an empty string."""
    names = list(known)
    folded = {name.lower().replace("-", "_"): name for name in names}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or all of them when nothing is near."""
    names = list(known)
    close = nearest(word, names)
    return f"Did you mean {close}?" if close else f"Known here: {', '.join(names)}."
