"""The operator's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """This moment in UTC."""
    return datetime.now(UTC)


def epoch_s() -> float:
    """Seconds since the epoch."""
    return time.time()


def monotonic_s() -> float:
    """Seconds of a clock that nobody sets."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)
