"""A program's end as its three streams tell it: an exit code ends nothing that is still to be read."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from kbootstrap.remote import program
from kbootstrap.remote.program import Order, Program

MARKER = "kb-mark"


class Late:
    """A pipe that is silent for a long while; then what was written and the exit code come at once, behind a look that found nothing."""

    def __init__(self, tick: Callable[[], None], *, ends: bool) -> None:
        self._tick, self._ends = tick, ends
        self._looks = 0
        self.gone = False

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        self._looks += 1
        self._tick()
        if self._looks == 2:
            self.gone = True  # both came while this look timed out
        if self._looks == 3:
            return f"{MARKER}\nanswer\n".encode(), b""
        return None if self._looks > 3 and self._ends else (b"", b"")

    def write(self, data: memoryview) -> None: ...
    def write_end(self) -> None: ...
    def close(self) -> None: ...

    def exited(self) -> bool:
        return self.gone

    def exit_code(self, timeout_s: float) -> int:
        return 0


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A clock of the test's own: three seconds go by with each look."""
    now = [0.0]
    monkeypatch.setattr(program, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def forward() -> None:
        now[0] += 3

    return forward


@pytest.mark.parametrize("ends", [True, False], ids=["closed", "held open by a daemon"])
def test_what_arrives_with_the_exit_code_after_a_long_silence_is_read(tick: Callable[[], None], ends: bool) -> None:
    running = Program(Late(tick, ends=ends), Order(host="m1", user="root", marker=MARKER, text=b"x", deadline_s=1000))
    assert list(running.lines()) == [b"answer"]
    assert running.finish().exit_code == 0
