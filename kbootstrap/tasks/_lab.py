"""What ``lab`` and ``demo`` refuse before they make anything, and the command line of ``lab.ssh``; imported only when one runs."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.errors import UsageError
from kbootstrap.inventory.rules import masters_problem


def refuse_size(masters: int) -> None:
    """UsageError for a number of masters whose inventory would be refused anyway, when the hosts already stand."""
    if problem := masters_problem(masters):
        raise UsageError(problem, hint="Say --masters 1, 3 or 5.")


def remote_command(command: str, argv: Sequence[str]) -> list[str]:
    """What ssh is to run: *command*, or what follows ``--`` in *argv* (invoke keeps that from tasks); nothing means a shell."""
    rest = list(argv[argv.index("--") + 1 :]) if "--" in argv else []
    if command and rest:
        raise UsageError("--command and a command after -- are two", hint="Say one of them.")
    return ["--", *([command] if command else rest)] if command or rest else []
