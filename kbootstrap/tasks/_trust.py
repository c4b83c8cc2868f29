"""``inventory.trust``: collect, show, ask, record; imported only when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kbootstrap import inventory
from kbootstrap.errors import ConnectError, HostKeyError, KbError, UsageError, counted
from kbootstrap.remote import hostkeys, keyscan
from kbootstrap.remote import trust as trusting
from kbootstrap.remote.keyscan import Seen, Target
from kbootstrap.remote.trust import Verdict
from kbootstrap.store import inventory_files
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import ask, say
from kbootstrap.tasks._inventory import print_table


def trust(folder: Folder, *, yes: bool) -> None:
    """Bastions first, since hosts behind them are asked through them. Raises at the end for every host that is not trusted then."""
    spec = inventory.load(folder.cluster_yml)
    refused: list[KbError] = []
    for doors in keyscan.targets(spec.hosts):
        refused += _round(folder, doors, yes=yes)
    if refused:
        kind = HostKeyError if any(isinstance(error, HostKeyError) for error in refused) else ConnectError
        problems = [error.problem for error in refused]
        count = f"{len(refused)} host{'s are' if len(refused) > 1 else ' is'}"
        raise kind(f"{count} not trusted", problems=problems)


def _round(folder: Folder, doors: Sequence[Target], *, yes: bool) -> list[KbError]:
    known = hostkeys.load(folder.known_hosts)
    seen = keyscan.collect(doors, known_hosts=folder.known_hosts)
    refused: list[KbError] = [_named(door.error, door) for door in seen if door.error]
    verdicts = [(door, trusting.verdict(known, door)) for door in seen if not door.error]
    refused += [trusting.refusal(known, door) for door, verdict in verdicts if verdict in (Verdict.CHANGED, Verdict.REVOKED)]
    fresh = [door for door, verdict in verdicts if verdict is Verdict.NEW]
    _show([door for door, verdict in verdicts if verdict in (Verdict.KNOWN, Verdict.NEW)], fresh)
    if fresh:
        _confirm(len(fresh), yes=yes)
        text = inventory_files.read_text(folder.known_hosts)
        inventory_files.replace_text(folder.known_hosts, trusting.added(text, fresh))
        say(f"recorded in {folder.known_hosts}")
    return refused


def _named(error: ConnectError, door: Seen) -> ConnectError:
    error.host = ", ".join(door.target.names)
    return error


def _show(seen: Sequence[Seen], fresh: Sequence[Seen]) -> None:
    keys = [(door, key) for door in seen for key in door.keys]
    print_table([("+" if door in fresh else "=", ", ".join(door.target.names), door.target.name, *str(key).split()) for door, key in keys])


def _confirm(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{counted(count, 'new host key')}, and nobody to ask", hint="Compare the fingerprints, then add --yes.")
    answer = ask("Compare with `ssh-keygen -lf` on the hosts. Record the keys marked with +? [yes/no] ")
    if answer.lower() != "yes":
        raise UsageError("not confirmed, nothing was recorded")
