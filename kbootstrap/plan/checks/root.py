"""The user who logs in is root, or becomes root."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.errors import PrivilegeError
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, error in context.errors.items():
        if isinstance(error, PrivilegeError):
            yield Finding(check="root", host=name, what=error.message, hint=error.hint)
