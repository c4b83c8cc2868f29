"""A process that SIGKILL ends at a given change of the disk: what is left is what a user finds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Final

_CHANGES: Final = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"})
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def at_every_change(prepare: Callable[[], object], work: Callable[[], object], judge: Callable[[], object]) -> int:
    """*prepare*, then *work* in a process that is killed just before its first change of the disk, its second …, and *judge* each time.

    How many changes *work* makes: the last round is the one that nothing ended.
    """
    for number in count(1):
        prepare()
        process = multiprocessing.get_context("fork").Process(target=_run, args=(work, number))
        process.start()
        process.join(timeout=60)
        assert process.exitcode in (0, -signal.SIGKILL), f"change {number}: exit code {process.exitcode}"
        judge()
        if process.exitcode == 0:
            return number - 1
    raise AssertionError("not reached")


def _run(work: Callable[[], object], number: int) -> None:
    done = count(1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING)
        if changes and next(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work()
    os._exit(0)  # what the fork inherited is not torn down a second time
