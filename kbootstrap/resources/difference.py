"""What a kind's ``diff`` and ``commands`` answer with."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """*reason* says both sides («mode 0644, want 0600»); *before* and *after* are texts for a diff, where a diff says more."""

    action: Action
    reason: str
    before: str | None = None
    after: str | None = None
    content: bool = True  # False: mode or owner only


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How to make it so: POSIX sh text (run under ``set -e``) that reads *payload* from standard input, and *blob* from the host's store."""

    text: str
    payload: bytes = field(default=b"", repr=False)
    blob: Blob | None = None
    deadline_s: float = 60.0


def sh(*words: str) -> str:
    """The one place where words become shell text."""
    return shlex.join(words)


def lines(*commands: str) -> str:
    """Commands, one a line."""
    return "\n".join(c for c in commands if c) + "\n"
