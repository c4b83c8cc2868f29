"""Kind ``directory``."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Directory
from kbootstrap.resources import stat
from kbootstrap.resources.difference import Difference, Order, lines, sh
from kbootstrap.resources.stat import Stat


def probe(names: Sequence[str]) -> str:
    return stat.probe(names, hashes=False)


parse = stat.parse


def diff(want: Directory, seen: Stat | None) -> Difference | None:
    if seen is None:
        return Difference(action=Action.CREATE, reason=f"no such directory, want {want.mode:04o} {want.owner}")
    if seen.type != "directory":
        return Difference(action=Action.UPDATE, reason=f"is a {seen.type}, want a directory")
    if reason := stat.attributes(seen, want.mode, want.owner):
        return Difference(action=Action.UPDATE, reason=reason, content=False)
    return None


def commands(want: Directory, difference: Difference) -> Order:
    path = sh(want.name)
    clear = f"[ -d {path} ] && [ ! -L {path} ] || rm -f -- {path}" if difference.action is Action.UPDATE else ""
    return Order(text=lines(clear, f"mkdir -p -- {path}", f"chown {sh(want.owner)} {path}", f"chmod {want.mode:04o} {path}"))
