"""``--timings``, which every task has: what is heard while it runs is kept, and shown at its end. It costs a list; so it is always kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from kbootstrap.model.events import Event, Listener
from kbootstrap.report import timings
from kbootstrap.report.timings import Heard, Timing
from kbootstrap.store import clock, files

OPTION: Final = "timings"
HELP: Final = "show where the time went, on standard error; with a name (--timings=FILE.json) also as a trace for chrome://tracing or Perfetto"
SLOWEST: Final = 3


class Recorder:
    """Everything heard since it was made."""

    def __init__(self) -> None:
        self._began_s = clock.monotonic_s()
        self.heard: list[Heard] = []

    def total_s(self) -> float:
        """Seconds since then."""
        return clock.monotonic_s() - self._began_s

    def beside(self, listener: Listener) -> Listener:
        """A listener that keeps what it hears and passes it on."""

        def both(event: Event, /) -> None:
            self.heard.append(Heard(at_s=self.total_s(), event=event))  # atomic: events come from any thread
            listener(event)

        return both


_CURRENT: ContextVar[Recorder] = ContextVar("recorder")


def recorder() -> Recorder:
    """The one of the task that runs; outside of any, one that nobody reads."""
    return _CURRENT.get(None) or Recorder()


def slowest() -> tuple[Timing, ...]:
    """The steps of the running task that took longest so far."""
    return timings.slowest(recorder().heard, SLOWEST)


def refuse_unfit(wanted: str | bool) -> None:
    """UsageError, before the work, for a trace that could not be written after it."""
    if wanted and isinstance(wanted, str):
        files.refuse_unfit(Path(wanted), option="--timings")


@contextmanager
def recording(wanted: str | bool, say: Callable[[str], None]) -> Iterator[None]:
    """While a task runs. *wanted* is the option's value: empty, True for lines alone, or the trace's file. *say* gets the lines at the end."""
    mine = Recorder()
    token = _CURRENT.set(mine)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        if wanted:
            say("\n".join(timings.lines(mine.heard, mine.total_s())))
            if isinstance(wanted, str):
                Path(wanted).write_text(json.dumps(timings.chrome(mine.heard)))
                say(f"trace: {wanted}")
