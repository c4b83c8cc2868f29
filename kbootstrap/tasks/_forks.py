"""``--forks``, which every task that contacts hosts has: how many of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from kbootstrap.errors import UsageError

OPTION: Final = "forks"
BESIDE: Final = "ask_sudo_password"  # tasks with this option contact hosts
DEFAULT: Final = 50
HELP: Final = "how many hosts are worked on at once"
_GIVEN: ContextVar[int] = ContextVar("forks", default=DEFAULT)


@contextmanager
def given(number: int) -> Iterator[None]:
    """While a task runs that was given *number*."""
    token = _GIVEN.set(number)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def refuse_unfit(number: int) -> None:
    """UsageError for a number that is none of hosts."""
    if number < 1:
        raise UsageError(f"--forks {number}: at least one host is worked on at a time", hint=f"Leave the option out for {DEFAULT}.")


def number() -> int:
    """Of the task that is running."""
    return _GIVEN.get()
