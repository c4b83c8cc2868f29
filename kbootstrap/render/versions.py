"""Questions about versions, for what a release renamed."""

from __future__ import annotations


def at_least(version: str, wanted: str) -> bool:
    """Whether *version* (``1.36.3``) is *wanted* (``1.35``) or later; a pre-release counts as its release."""
    return _numbers(version) >= _numbers(wanted)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))
