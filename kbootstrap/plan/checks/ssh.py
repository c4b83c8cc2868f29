"""The host can be reached and read. Why it cannot is the connection's own message."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.errors import PrivilegeError
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, error in context.errors.items():
        if not isinstance(error, PrivilegeError):
            yield Finding(check="ssh", host=name, what=error.message, hint=error.hint or f"Try: ssh to {name} by hand.")
