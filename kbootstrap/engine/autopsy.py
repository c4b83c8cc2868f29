"""When a command fails on hosts: one more look, the causes by name, and all that was seen in one file. Changes nothing on any host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import kbootstrap
from kbootstrap.engine import condition
from kbootstrap.engine import status as looking
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, CommandError, KbError, VerifyError
from kbootstrap.plan import autopsy, words
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.store import autopsies, clock, entropy
from kbootstrap.store.folder import Folder

DEADLINE_S: Final = 60.0
MOST: Final = 8  # hosts whose journals are read: of hundreds that fail alike a few tell enough
OF_HOSTS: Final = (ApplyError, CommandError, VerifyError)
Look = Callable[[Prepared], Pool]


def worth(error: KbError) -> bool:
    """Whether *error* is one that a look at hosts explains: refusals, and hosts that cannot be reached, say all by themselves."""
    return isinstance(error, OF_HOSTS) and not error.bundle


def examine(folder: Folder, connect: Look, error: KbError, *, command: str, block: Callable[[KbError], str]) -> None:
    """Give *error* its causes and its bundle; *block* shows it as a person reads it. Raises KbError where nothing can be looked at.

    Connections are new: the command has let go of its locks, and of connections that may have been what failed.
    """
    known = contact(folder)
    with connect(known) as pool:
        status = looking.of(known, pool)
        names = [host.name for host in known.spec.hosts]
        about = autopsy.concerned(error, names) or dict.fromkeys((host.name for host in known.spec.masters), error.message)
        units = condition.units(known.spec)
        chosen = [host for host in known.spec.hosts if host.name in about][:MOST]
        outcomes = pool.map(lambda host, connection: _read(connection, list(units[host.name])), chosen)
    answers = {name: outcome.get() if outcome.ok else {"units": f"cannot be read: {outcome.error}"} for name, outcome in outcomes.items()}
    said = {name: words.parse(answer.get("words", "")) for name, answer in answers.items()}
    seen = autopsy.Seen(status=status, answers=answers, said=said)
    what = "\n".join([block(error), *(f"  {problem}" for problem in error.about if problem not in error.problems)])
    error.causes = autopsy.explain(seen, about)
    text = autopsy.text(_head(known, command), what, error.causes, seen)
    error.bundle = str(autopsies.keep(folder.autopsies, f"{clock.now():%Y%m%dT%H%M%SZ}-{command}", text))


def _read(connection: Connection, units: Sequence[str]) -> Mapping[str, str]:
    marker = entropy.marker()
    running = connection.run(fuse.read_program(autopsy.sections(units), marker), deadline_s=DEADLINE_S)
    found = {section.id: section.output.decode("utf-8", "replace") for section in fuse.split(running.lines(), marker)}
    running.finish()
    return found


def _head(known: Prepared, command: str) -> list[str]:
    return [
        f"{command} failed on cluster «{known.spec.name}», {clock.now():%Y-%m-%d %H:%M:%SZ}",
        f"kbootstrap {kbootstrap.__version__}, Kubernetes {known.spec.kubernetes}, cluster id {known.state.cluster_id or 'none yet'}",
        "Keys, tokens, passwords and certificates are left out. Names, addresses and log lines are not: read it before you send it.",
    ]
