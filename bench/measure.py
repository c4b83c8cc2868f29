"""One command measured: wall time, CPU seconds of it and of everything it started, peak memory. What it leaves running is ended, and counted."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
SAMPLE_S: Final = 0.1
GRACE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """*peak_mb*: the largest sum over all its processes that a sample met, shared pages counted once. The kernel's own maximum would be no less than
    this driver's memory: it counts what a process was before its exec, too."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int
    output: str


def adopt() -> None:
    """Orphans of the commands become this process's children: a daemon that one leaves behind is waited for, and its CPU time is known."""
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)


def run(argv: tuple[str, ...], *, cwd: Path, environment: Mapping[str, str], timeout_s: float = 900.0) -> Measured:
    """Run *argv* with nothing of this user's SSH configuration, agent or Python settings. Exit code -9 if it took longer than *timeout_s*."""
    adopt()
    keep = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "TMPDIR")}
    others = _children()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        process = subprocess.Popen(
            argv, cwd=cwd, env={**keep, "HOME": str(cwd), **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        watch = _Peak(process.pid)
        limit = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            process.returncode = code = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        finally:
            limit.cancel()
            wall_s = time.monotonic() - began
            sampled_kb = watch.stop()
            _end(_children() - others)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        out.seek(0)
        output = out.read().decode("utf-8", "replace")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall_s=wall_s, cpu_s=cpu_s, peak_mb=sampled_kb / 1024, exit_code=code, output=output)


def _children() -> set[int]:
    me = os.getpid()
    return {int(pid) for task in Path(f"/proc/{me}/task").iterdir() for pid in _text(task / "children").split()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it ended meanwhile


def _end(left: set[int]) -> None:
    """End what stayed behind (and what that leaves in turn) and wait for it: only then its CPU time is ours to see."""
    until = time.monotonic() + GRACE_S
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while left and (number == signal.SIGKILL or time.monotonic() < until):
            left = {pid for pid in left if not _gone(pid)}
            time.sleep(0.01)


def _gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


class _Peak:
    """The largest memory of a process and its descendants, sampled; one process alone costs the sampler next to nothing."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak_kb = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self._peak_kb = max(self._peak_kb, sum(_memory_kb(pid) for pid in _tree(self._pid)))

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak_kb


def _tree(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        with suppress(OSError):
            waiting += [int(child) for task in Path(f"/proc/{one}/task").iterdir() for child in _text(task / "children").split()]
    return found


def _memory_kb(pid: int) -> int:
    """Its proportional share (Pss)."""
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
