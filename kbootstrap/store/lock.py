"""One run per cluster on the operator's machine: ``inventory/<cluster>/.lock``, released by the kernel when the process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from kbootstrap.errors import LockError
from kbootstrap.store import operator

_BESIDE: Final = (".lock", ".lock.owner", "autopsy", "snapshots")  # what others may write meanwhile without any harm


def whoami(command: str) -> str:
    """Who holds a lock: user, machine, process and since when."""
    return f"{operator.who()} (pid {os.getpid()}, {command}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    folder: Path
    command: str
    lock: FileLock

    def take(self) -> None:
        owner = self.folder / ".lock.owner"
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            holder = owner.read_text().strip() if owner.exists() else "unknown"
            raise LockError(f"another run holds cluster «{self.folder.name}»: {holder}", hint="Wait for it, or end that process.") from None
        owner.write_text(whoami(self.command) + "\n")

    def let_go(self) -> None:
        if self.lock.is_locked:
            (self.folder / ".lock.owner").unlink(missing_ok=True)
            self.lock.release()

    def seen(self) -> Mapping[Path, tuple[int, int]]:
        """Every file of the folder, with its size and time."""
        paths = (path for path in sorted(self.folder.rglob("*")) if path.relative_to(self.folder).parts[0] not in _BESIDE)
        stats = ((path, path.lstat()) for path in paths if not path.is_dir())
        return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats}


_MINE: ContextVar[tuple[_Held, ...]] = ContextVar("locks", default=())


@contextmanager
def hold(folder: Path, command: str) -> Iterator[None]:
    """Hold the lock of the cluster in *folder*. LockError at once, with the owner, if another run has it."""
    held = _Held(folder=folder, command=command, lock=FileLock(folder / ".lock"))
    held.take()
    token = _MINE.set((*_MINE.get(), held))
    try:
        yield
    finally:
        _MINE.reset(token)
        held.let_go()


@contextmanager
def aside() -> Iterator[None]:
    """While somebody thinks about a question, others may work: the locks are let go, and taken again.

    LockError when another run has one then, or has changed what was read before the question: nothing was done yet.
    """
    held = _MINE.get()
    before = [each.seen() for each in held]
    for each in held:
        each.let_go()
    yield
    for each in held:
        each.take()
    for each, known in zip(held, before, strict=True):
        if changed := sorted(str(path) for path, _ in known.items() ^ each.seen().items()):
            what = f"another run changed {changed[0]} while it was asked; nothing was done"
            raise LockError(what, hint="Run the same command again: it shows what is to be done now.")
