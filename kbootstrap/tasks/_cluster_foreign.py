"""What ``cluster.down --foreign`` says and asks. ``cluster.py`` has the command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import ask, say

if TYPE_CHECKING:
    from kbootstrap.engine.foreign import Found
    from kbootstrap.engine.request import Request

CHANGES = 10


def remove(request: Request, *, yes: bool, name: str) -> None:
    """List, ask twice, remove. *yes* answers the first question, *name* the second: the host's where there is one, else the cluster's.

    Exit code 10 when there is something and nothing was removed.
    """
    from kbootstrap.engine import foreign

    refused = [False]

    def confirm(found: Sequence[Found]) -> bool:
        for line in (line for each in found for line in each.lines()):
            say(line)
        due = [each.host.name for each in found if each.something]
        agreed = bool(due) and _asked(due[0] if len(due) == 1 else request.folder.name, yes=yes, name=name)
        refused[0] = bool(due) and not agreed
        return agreed

    for line in foreign.remove(request, confirm):
        say(line)
    if refused[0]:
        raise Exit(code=CHANGES)


def _asked(wanted: str, *, yes: bool, name: str) -> bool:
    if name and name != wanted:
        raise UsageError(f"--name {name} is not what would be cleaned: {wanted}; nothing was changed", hint=f"If it is meant: --name {wanted}.")
    if not sys.stdin.isatty() and not (yes and name):
        say(f"Nothing was changed: there is no terminal to ask on. Both answers as options: --yes --name {wanted}.")
        return False
    if not yes and ask("Remove all of this, its data included? [y/N] ").lower() not in ("y", "yes"):
        say("Nothing was changed.")
        return False
    if not name and ask(f"There is no way back. Type {wanted} to go on: ") != wanted:
        raise UsageError("that is not its name; nothing was changed")
    return True
