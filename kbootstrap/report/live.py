"""Progress while it happens: a listener that draws one bar for the bytes under way and a line per stage, note and failed change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from kbootstrap.model import events


class Live:
    """A ``Listener`` on a console; off a terminal it prints lines only. Use it as a context manager."""

    def __init__(self, console: Console, *, wording: Callable[[str], str] = str) -> None:
        """*wording* is the last to touch a line: commands as the user can type them."""
        self._wording = wording
        self._console = console
        self._lock = threading.Lock()
        columns = (TextColumn("  {task.description}"), BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn())
        self._bars = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False, redirect_stderr=False
        )
        self._tasks: dict[str, TaskID] = {}
        self._amounts: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Live:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nothing is drawn meanwhile: a question stands alone, with a cursor, and what is typed is not wiped away."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def __call__(self, event: events.Event, /) -> None:
        with self._lock:
            match event:
                case events.Progress():
                    self._progress(event)
                case events.Note():
                    mark = "!" if event.warning else "·"
                    self._line(f"{mark} {event.host + ': ' if event.host else ''}{event.text}")
                case events.StageFinished():
                    self._line(f"✓ {event.stage:<14} {event.seconds:6.1f} s")
                case events.ChangeFinished(exit_code=code) if code:
                    self._line(f"✗ {event.host}: {event.change_id} failed ({code})")
                case _:
                    pass

    def _line(self, text: str) -> None:
        self._console.print(self._wording(text), markup=False, highlight=False, soft_wrap=True)

    def _progress(self, event: events.Progress) -> None:
        """One bar per label: the sum over all hosts."""
        self._amounts[event.label, event.host] = (event.done, event.total)
        mine = [amount for (label, _), amount in self._amounts.items() if label == event.label]
        done, total = sum(d for d, _ in mine), sum(t for _, t in mine)
        if event.label not in self._tasks:
            self._tasks[event.label] = self._bars.add_task(event.label, total=total or None)
        self._bars.update(self._tasks[event.label], completed=done, total=total or None)
