"""Progress while it happens: a listener that draws one bar for the bytes under way and a line per stage, note and failed change."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from kbootstrap.model import events

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Live:
    """A ``Listener`` on a stream; off a terminal it prints lines only. Use it as a context manager.

    rich is loaded when the first bytes are under way: a run that finds nothing to do never waits for it.
    """

    def __init__(self, stream: TextIO | None = None, *, wording: Callable[[str], str] = str, terminal: bool | None = None) -> None:
        """*stream* is standard error unless said; *wording* is the last to touch a line: commands as the user can type them."""
        self._wording = wording
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() if terminal is None else terminal
        self._lock = threading.Lock()
        self._drawing = False
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._amounts: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Live:
        self._draw(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._draw(False)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nothing is drawn meanwhile: a question stands alone, with a cursor, and what is typed is not wiped away."""
        self._draw(False)
        try:
            yield
        finally:
            self._draw(True)

    def _draw(self, wanted: bool) -> None:
        with self._lock:
            self._drawing = wanted
            if self._bars is not None:
                (self._bars.start if wanted else self._bars.stop)()

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
        if self._bars is not None:
            self._bars.console.print(self._wording(text), markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(self._wording(text) + "\n")
            self._stream.flush()

    def _progress(self, event: events.Progress) -> None:
        """One bar per label: the sum over all hosts."""
        if not self._terminal:
            return
        if self._bars is None:
            self._bars = _bars(self._stream)
            if self._drawing:
                self._bars.start()
        self._amounts[event.label, event.host] = (event.done, event.total)
        mine = [amount for (label, _), amount in self._amounts.items() if label == event.label]
        done, total = sum(d for d, _ in mine), sum(t for _, t in mine)
        if event.label not in self._tasks:
            self._tasks[event.label] = self._bars.add_task(event.label, total=total or None)
        self._bars.update(self._tasks[event.label], completed=done, total=total or None)


def _bars(stream: TextIO) -> Progress:
    from rich.console import Console  # noqa: PLC0415  see Live
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("  {task.description}"), BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=stream, force_terminal=True)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
