"""Kind ``user``: system users that daemons run as."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import User
from kbootstrap.resources.difference import Difference, Order, lines, sh


def probe(names: Sequence[str]) -> str:
    """getent exits 2 when one is missing; the others are printed all the same."""
    return sh("getent", "passwd", *names) + " || true\n"


def parse(output: str) -> dict[str, str]:
    """Name → home."""
    rows = (line.split(":") for line in output.splitlines())
    return {row[0]: row[5] for row in rows if len(row) == 7}


def diff(want: User, seen: str | None) -> Difference | None:
    """An existing user is taken as it is: its home may be the administrator's choice."""
    if seen is None:
        return Difference(action=Action.CREATE, reason=f"no such user, want a system user with home {want.home}")
    return None


def commands(want: User, difference: Difference) -> Order:
    del difference  # there is but one
    group = f"getent group {sh(want.name)} >/dev/null || groupadd --system {sh(want.name)}"
    add = sh("useradd", "--system", "--gid", want.name, "--home-dir", want.home, "--no-create-home", "--shell", "/usr/sbin/nologin", want.name)
    return Order(text=lines(group, add))
