"""``cluster.down --foreign``: what other installers, or a cluster of ours that is given up, left on the hosts. Listed one by one, asked, removed.

A host of this very cluster is left alone: there, what looks like an installer's may be ours. Afterwards the same look finds nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kbootstrap.engine import cluster, down
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, CommandError, KbError
from kbootstrap.model.host import Host
from kbootstrap.plan import foreign
from kbootstrap.plan.foreign import Remain
from kbootstrap.plan.leaving import leave
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.store.lock import hold

LOOK_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is foreign on one host.

    *ledger*: of a kbootstrap cluster that is not this one; *ours*: the host is this cluster's, and nothing was looked for.
    """

    host: Host
    ledger: Ledger = field(default_factory=Ledger)
    remains: tuple[Remain, ...] = ()
    ours: bool = False

    @property
    def something(self) -> bool:
        """Whether anything would be removed."""
        return not self.ledger.empty or bool(foreign.removable(self.remains))

    def lines(self) -> Iterator[str]:
        """Every single thing, as a person reads it."""
        name = self.host.name
        if self.ours:
            yield f"{name}: is this cluster's own; invoke cluster.down leaves it"
        elif self.ledger.empty and not self.remains:
            yield f"{name}: nothing foreign is known here"
        else:
            yield f"{name}:"
            yield from (f"  {line}" for line in (*self._cluster(), *(foreign.describe(self.remains) if self.remains else ())))

    def _cluster(self) -> Iterator[str]:
        if self.ledger.empty:
            return
        way = leave(self.host.name, self.ledger, sysctl=self.host.host.sysctl)
        yield f"left by the kbootstrap cluster «{self.ledger.cluster}» ({self.ledger.cluster_id}), by its own record on the host:"
        for kind in ("service", "binary", "file", "directory", "data", "user"):
            if names := [key.removeprefix(f"{kind}/") for key, entry in self.ledger.entries.items() if entry["kind"] == kind and not entry["before"]]:
                yield f"  {kind}: {', '.join(sorted(names))}"
        if way.restores:
            yield f"  comes back: {', '.join(way.restores)}"


def remove(request: Request, confirm: Callable[[Sequence[Found]], bool]) -> Iterator[str]:
    """A line per host as it is done; *confirm* is asked with what was found, before anything changes. ApplyError at the end for hosts that
    could not be read or finished."""
    with hold(request.folder.root, "cluster.down --foreign"):
        known = contact(request.folder)
        wanted = chosen(known.spec, request.limit)
        with request.connect(known) as pool:
            found, errors = _look(pool, wanted, known.state.cluster_id)
            agreed = confirm(found)
            due = {each.host.name: each for each in found if each.something}
            done = pool.map(lambda host, c: _clean(request, c, due[host.name]), [each.host for each in due.values()]) if agreed else {}
        yield from (f"{name}: {said}" for name, said in answered(done).items())
        errors += failures(done)
    if errors:
        problems = [error.problem for error in errors]
        raise ApplyError(f"{len(errors)} of {len(wanted)} hosts are not done", problems=problems, hint=down.AGAIN)


def _look(pool: Pool, hosts: Sequence[Host], cluster_id: str) -> tuple[list[Found], list[KbError]]:
    outcomes = pool.map(lambda host, connection: _found(connection, host, cluster_id), hosts)
    return list(answered(outcomes).values()), failures(outcomes)


def _found(connection: Connection, host: Host, cluster_id: str) -> Found:
    ledger = down.read_ledger(connection)
    if not ledger.empty and ledger.cluster_id == cluster_id:
        return Found(host=host, ours=True)
    # what another cluster of ours has put there is in its ledger; what else lies there can be told only once that has gone
    return Found(host=host, ledger=ledger) if not ledger.empty else Found(host=host, remains=_remains(connection))


def _remains(connection: Connection) -> tuple[Remain, ...]:
    code, output, stderr = cluster.one(connection, foreign.look(), deadline_s=LOOK_S)
    if code != 0:
        raise CommandError(f"the look for other installers failed: {stderr.strip()[-300:]}", host=connection.host)
    return foreign.parse(output.decode("utf-8", "replace"))


def _clean(request: Request, connection: Connection, found: Found) -> str:
    if not found.ledger.empty:
        return down.leave_host(request, connection, found.host, found.ledger)
    with hold_host(connection, Owner.here("cluster.down --foreign"), take=request.take_lock):
        down.run(connection, foreign.removal(found.host.name, found.remains), request.listener)
        left = _remains(connection)
    down.sweep(connection)
    if due := foreign.removable(left):
        raise ApplyError(f"still there: {', '.join(f'{each.kind} {each.what}' for each in due)}", host=connection.host, hint=down.AGAIN)
    removed = len(foreign.removable(found.remains))
    stays = f"; stays: {', '.join(each.what for each in left)}" if left else ""
    return f"removed {removed} thing{'' if removed == 1 else 's'}; looked again: nothing of it is left{stays}"
