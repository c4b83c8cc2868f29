"""One run per cluster on the operator's machine: ``inventory/<cluster>/.lock``, released by the kernel when the process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from kbootstrap.errors import LockError
from kbootstrap.store import operator


def whoami(command: str) -> str:
    """Who holds a lock: user, machine, process and since when."""
    return f"{operator.who()} (pid {os.getpid()}, {command}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%SZ})"


@contextmanager
def hold(folder: Path, command: str) -> Iterator[None]:
    """Hold the lock of the cluster in *folder*. LockError at once, with the owner, if another run has it."""
    owner = folder / ".lock.owner"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = owner.read_text().strip() if owner.exists() else "unknown"
        raise LockError(f"another run holds cluster «{folder.name}»: {holder}", hint="Wait for it, or end that process.") from None
    try:
        owner.write_text(whoami(command) + "\n")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
