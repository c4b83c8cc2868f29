"""Events: what happens while it happens, decoupled from how it is shown (``report/`` listens)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base; *host* is empty for what concerns the operator's machine or the whole cluster."""

    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """A line worth saying: ``artifacts: gomod builds kubelet 1.36.3``; *warning* marks it with ``!``."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """*done* of *total* units (bytes unless *unit* says otherwise) of *label*; total 0 means unknown; done == total ends it."""

    label: str
    done: int
    total: int
    unit: str = "B"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted(Event):
    """A stage of the plan begins."""

    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished(Event):
    """A stage ended on all of its hosts."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStarted(Event):
    """A change began on a host."""

    change_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFinished(Event):
    """A change ended; *output* holds its last lines (never secrets)."""

    change_id: str
    exit_code: int
    output: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span(Event):
    """Work that is no change ended just now: *label* («read», «connect») took *seconds*."""

    label: str
    seconds: float


class Listener(Protocol):
    """Receives events from any thread; must not raise and must not block for long."""

    def __call__(self, event: Event, /) -> None: ...


def silent(event: Event, /) -> None:
    """The listener that shows nothing."""
