"""A finding of the preflight: what is wrong on which host, how bad that is, how it was seen, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``refused`` stops a run before any change, ``warning`` is shown, ``waived`` was accepted in the inventory."""

    REFUSED = "refused"
    WARNING = "warning"
    WAIVED = "waived"

    def counted(self, count: int) -> str:
        """``3 warnings``, ``1 refused``."""
        return f"{count} {self.value}{'s' if self is Severity.WARNING and count != 1 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """*check* is its id in ``catalog/checks.py``; *evidence* what the host said, as it said it; *why* what happens if nobody minds.

    *warning* does not stop the run; *hint* is the command or edit that mends it; *waived* is the inventory's reason for going on.
    """

    check: str
    host: str
    what: str
    hint: str
    warning: bool = False
    evidence: str = ""
    why: str = ""
    waived: str = ""

    @property
    def severity(self) -> Severity:
        if self.waived:
            return Severity.WAIVED
        return Severity.WARNING if self.warning else Severity.REFUSED
