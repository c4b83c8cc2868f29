"""Whether a process lives. One that has ended and was not yet reaped does not: when that happens is up to the machine's first process."""

from __future__ import annotations

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether *pid* still runs anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, *, within_s: float = 20.0) -> bool:
    """Whether *pid* ends within *within_s*."""
    until = time.monotonic() + within_s
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
