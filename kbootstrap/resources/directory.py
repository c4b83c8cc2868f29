"""Kind ``directory``. A symbolic link to a directory counts as one: that etcd's data lie on another disk is the administrator's choice."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Directory
from kbootstrap.resources import stat
from kbootstrap.resources.difference import Difference, Order, lines, sh
from kbootstrap.resources.stat import Stat


def probe(names: Sequence[str]) -> str:
    return sh("stat", "-L", "-c", stat.FORMAT, "--", *names) + " 2>/dev/null || true\n"


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
    """Five digits for chmod: with four it leaves a directory's setgid bit as it is, also one inherited from the directory above."""
    path = sh(want.name)
    clear = f"rm -f -- {path}" if difference.action is Action.UPDATE and difference.content else ""
    return Order(text=lines(clear, f"mkdir -p -- {path}", f"chown {sh(want.owner)} {path}", f"chmod 0{want.mode:04o} {path}"))
