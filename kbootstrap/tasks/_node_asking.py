"""What the tasks of ``node`` share: their options, names from the command line, the question before anything is changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from invoke.exceptions import Exit

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import CLUSTER_HELP, ask, complain, say
from kbootstrap.tasks.cluster import CHANGES, _list

if TYPE_CHECKING:
    from kbootstrap.engine.node_asked import Asked

COMMON: Final = {
    "cluster": CLUSTER_HELP,
    "yes": "do not ask",
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}
TAKE_LOCK: Final = {"take_lock": "take the hosts' lock from a run that is known to be dead"}
DRAINING: Final = {
    "deadline": "how many seconds a node may need to become empty",
    "force": "pods go too that have no controller, and so are lost for good",
}


class Agreed:
    """Shows what will happen and asks. It remembers a «no», which is exit code 10."""

    def __init__(self, question: str, *, yes: bool, quiet: bool) -> None:
        self._question, self._yes, self._quiet = question, yes, quiet
        self._refused = False

    def __call__(self, lines: Sequence[str]) -> bool:
        for line in lines if not self._quiet else ():
            say(line)
        self._refused = not (self._yes or self._asked())
        return not self._refused

    def _asked(self) -> bool:
        if self._quiet or not sys.stdin.isatty():
            complain("there is no terminal to ask on. Add --yes.")
            return False
        return ask(f"{self._question} [y/N] ").lower() in ("y", "yes")

    def or_exit(self) -> None:
        """Exit with the code of changes that are still to be made, if it was refused."""
        if self._refused:
            complain("Nothing was changed.")
            raise Exit(code=CHANGES)


def agreed(question: str, *, yes: bool, quiet: bool = False) -> Agreed:
    return Agreed(question, yes=yes, quiet=quiet)


def wanted(names: str, *, deadline: int = 300, force: bool = False, agree: Agreed | None = None) -> Asked:
    """The wish of a command line. UsageError for a deadline that is none."""
    from kbootstrap.engine.node_asked import Asked

    if deadline < 1:
        raise UsageError(f"--deadline {deadline}: want seconds, 1 or more")
    found = tuple(dict.fromkeys(_list(names)))
    return Asked(names=found, deadline_s=deadline, force=force, confirm=agree) if agree else Asked(names=found, deadline_s=deadline, force=force)
