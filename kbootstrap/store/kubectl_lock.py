"""kubectl's own lock of a kubeconfig, ``<file>.lock``: whoever creates it may write the file, anybody else of kubectl's fails at once.

A kubectl that was killed leaves its lock for ever, and so would we. Ours is therefore a second name (a hard link) of ``<file>.lock.pid``, which
the kernel locks for us (flock) as long as we live: who has that flock and finds the lock to be the same file knows that its maker is dead.
No pid can be reused, no other's lock is ever removed, and two of us cannot both take over a stale one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kbootstrap.errors import LockError
from kbootstrap.store import clock, files
from kbootstrap.store.lock import whoami

PID: Final = ".pid"
_EVERY_S: Final = 0.02


@contextmanager
def hold(paths: Iterable[Path], command: str, *, patience_s: float = 10.0) -> Iterator[None]:
    """Hold the locks of all *paths*, in kubectl's order. LockError, naming the lock, when one is not free after *patience_s*.

    A file that is a symlink is locked under both names: another kubectl may know it by the other.
    """
    until_s = clock.monotonic_s() + patience_s
    locks = {_lock_of(name) for path in paths for name in (path, Path(os.path.realpath(path)))}
    with ExitStack() as stack:
        for lock in sorted(locks):
            stack.enter_context(_held(lock, command, until_s))
        yield


def _lock_of(path: Path) -> Path:
    return Path(os.path.realpath(path.parent)) / f"{path.name}.lock"


@contextmanager
def _held(lock: Path, command: str, until_s: float) -> Iterator[None]:
    files.make_folder(lock.parent)
    pid_file = lock.with_name(lock.name + PID)
    descriptor = _claim(pid_file, command, until_s)
    try:
        _take(lock, pid_file, descriptor, until_s)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        pid_file.unlink(missing_ok=True)
        os.close(descriptor)


def _claim(pid_file: Path, command: str, until_s: float) -> int:
    """A descriptor of *pid_file* with the flock on it: no other run of ours works on this lock."""
    while True:
        descriptor = os.open(pid_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), pid_file.stat()):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{whoami(command)}\n".encode(), 0)
                return descriptor
        except BlockingIOError:
            if clock.monotonic_s() > until_s:
                holder = os.pread(descriptor, 500, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise LockError(f"another run changes that kubeconfig: {holder}", hint="Wait for it, or end that process.") from None
        except FileNotFoundError:
            pass  # its holder ended between our two steps, and took the file away
        os.close(descriptor)
        clock.pause(_EVERY_S)


def _take(lock: Path, pid_file: Path, descriptor: int, until_s: float) -> None:
    while True:
        try:
            _make(lock, pid_file)
            return
        except FileExistsError:
            try:
                there = lock.lstat()
            except FileNotFoundError:
                continue
            if os.path.samestat(there, os.fstat(descriptor)):
                return  # of a run of ours that was killed: it is ours now
            if clock.monotonic_s() > until_s:
                since = f"{datetime.fromtimestamp(there.st_mtime, UTC):%Y-%m-%d %H:%M:%SZ}"
                raise LockError(
                    f"{lock} is there since {since}: another program is writing that kubeconfig", hint=f"If none is at work: rm {lock}"
                ) from None
        clock.pause(_EVERY_S)


def _make(lock: Path, pid_file: Path) -> None:
    """FileExistsError when there is one."""
    try:
        os.link(pid_file, lock)
    except OSError as error:
        if error.errno not in files.NO_LINKS:
            raise
        # No hard links here: then as kubectl does, and what a kill leaves must be removed by hand.
        os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
