"""``node.remove`` and ``node.replace``: hosts leave a cluster that goes on.

Each step looks at what is left to do, so the same command finishes what was cut off: a node that is cordoned, a member that is gone, a host without
a ledger need nothing more. ``cluster.yml`` is edited last: up to then the inventory says truly which hosts are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from kbootstrap.engine import cluster, down, etcd_members, node_asked, node_drain
from kbootstrap.engine.apply import raise_together
from kbootstrap.engine.node_asked import Asked
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import stage
from kbootstrap.errors import ApplyError, AuthError, ConnectError, HostKeyError, KbError, LockError, PreflightError, PrivilegeError, Problem
from kbootstrap.model.host import Host
from kbootstrap.plan import node_leave as words
from kbootstrap.plan.ledger import Ledger, stranger
from kbootstrap.plan.node_drain import Seen
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import HostLock, Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool, answered, failed, failures
from kbootstrap.report.etcd import Known

AGAIN = "Run the same command again; it goes on where it stopped."
_LIVES = (AuthError, PrivilegeError, LockError)
"""Errors of a host that is there: nobody may take it for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """*absent*: hosts that do not answer are dead for good. *stays*: in cluster.yml, since a new machine takes the place."""

    asked: Asked
    absent: bool = False
    stays: bool = False
    command: str = "node.remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The leaving hosts: *ledgers* of those that answer, *dead* why others do not, *nodes* as the API has them, *members* of all etcd."""

    ledgers: Mapping[str, Ledger]
    dead: Mapping[str, str]
    nodes: Mapping[str, Seen]
    members: tuple[Known, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Hosts on their way out, over open connections. *staying* is the same cluster without them: through it everything is asked."""

    request: Request
    wish: Wish
    prepared: Prepared
    pool: Pool
    hosts: tuple[Host, ...]

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.hosts]

    @property
    def staying(self) -> Prepared:
        kept = tuple(host for host in self.prepared.spec.hosts if host.name not in self.names)
        return replace(self.prepared, spec=replace(self.prepared.spec, hosts=kept))

    def look(self) -> Found:
        """Everything that could refuse, before anything is changed. PreflightError, ConnectError."""
        if not self.staying.spec.masters:
            raise PreflightError("no master would be left; nothing was changed", hint="To end the cluster: invoke cluster.down.")
        ledgers, dead = self._reach()
        going = [host.name for host in self.hosts if host.is_master]
        members = etcd_members.named(self.prepared, self.pool) if going else ()
        if going:
            etcd_members.may_leave(self.prepared, self.pool, going)
        nodes = node_asked.seen(self.staying, self.pool, self.hosts)
        found = Found(ledgers=ledgers, dead=dead, nodes=nodes, members=members)
        node_drain.refuse([node for name, node in nodes.items() if node.node and name not in dead], force=self.wish.asked.force)
        return found

    def told(self, found: Found) -> Iterator[str]:
        """What will happen."""
        named = {each.name for each in found.members}
        for host in self.hosts:
            node = found.nodes[host.name]
            said = (node_asked.describe(node, self.wish.asked) if node.ready else words.undrained(host, len(node.leaving))) if node.node else ""
            yield from words.told(host, node=said, dead=found.dead.get(host.name, ""), member=host.name in named, stays=self.wish.stays)
        voters = words.voting(found.members)
        yield from words.odds(len(voters), len(voters) - len(words.voting(found.members, self.names)), stays=self.wish.stays)

    def all(self, found: Found) -> Iterator[str]:
        """Every step; a line for each host that was cleaned."""
        with self._locked(self.staying.spec.masters):
            alive, listener = [host for host in self.hosts if host.name not in found.dead], self.request.listener
            with self._locked(alive):
                with stage(listener, "DRAIN"):
                    self._drain(found)
                with stage(listener, "STOP"):
                    self._on(alive, partial(self._stop, self._drained(found)))
                with stage(listener, "ETCD"):
                    self._etcd(found)
                with stage(listener, "NODES"):
                    self._nodes()
            with stage(listener, "CLEAN"):
                cleaned = self._clean(alive, found)
        yield from (f"{name}: {said}" for name, said in cleaned.items())
        yield from (f"{name}: left the cluster; nothing on it was cleaned" for name in found.dead)

    def _reach(self) -> tuple[dict[str, Ledger], dict[str, str]]:
        outcomes = self.pool.map(lambda _, connection: down.read_ledger(connection), self.hosts)
        ledgers = answered(outcomes)
        errors = failed(outcomes)
        dead = {name: error.message for name, error in errors.items() if self._is_dead(error)}
        problems = [Problem(where=name, what=error.message, hint=error.hint) for name, error in errors.items() if name not in dead]
        if problems:
            hint = f"Bring them back, so that they can be cleaned. Dead for good: invoke {self.wish.command} {','.join(self.names)} --absent"
            raise ConnectError("hosts that leave do not answer; nothing was changed", problems=problems, hint=hint)
        foreign = {name: problem for name, each in ledgers.items() if (problem := stranger(each, self.prepared.state.cluster_id))}
        if foreign:
            problems = [Problem(where=name, what=problem.what, hint=problem.hint) for name, problem in foreign.items()]
            raise PreflightError("hosts are not this cluster's; nothing was changed", problems=problems)
        return ledgers, dead

    def _is_dead(self, error: KbError) -> bool:
        """A machine with another key than ours is not the one that leaves: where a new one takes the place, that is expected."""
        if isinstance(error, HostKeyError):
            return self.wish.absent or self.wish.stays
        return self.wish.absent and isinstance(error, ConnectError) and not isinstance(error, _LIVES)

    @contextmanager
    def _locked(self, hosts: Sequence[Host]) -> Iterator[None]:
        """The locks of *hosts*; a staying master that does not answer is nobody's to work on."""
        owner = Owner.here(self.wish.command)
        outcomes = self.pool.map(lambda host, connection: hold_host(connection, owner, take=self.request.take_lock), hosts)
        with ExitStack() as stack:
            locks: list[HostLock] = [stack.enter_context(outcome.get()) for outcome in outcomes.values() if outcome.ok]
            for outcome in outcomes.values():
                if isinstance(outcome.error, LockError):
                    raise outcome.error
            for lock in locks:
                stack.callback(lock.let_go)
            yield

    def _on(self, hosts: Sequence[Host], work: Callable[[Host, Connection], object]) -> None:
        raise_together(failures(self.pool.map(work, hosts)))

    def _run(self, connection: Connection, text: str, *, deadline_s: float = 60.0) -> None:
        code, _, stderr = cluster.one(connection, text, deadline_s=deadline_s)
        if code != 0:
            raise ApplyError(stderr.strip()[-300:] or "failed", host=connection.host, hint=AGAIN)

    def _stop(self, drained: Collection[str], host: Host, connection: Connection) -> None:
        self._run(connection, words.STOP + ("" if host.name in drained else words.END_PODS), deadline_s=180)

    def _drained(self, found: Found) -> list[str]:
        """Whose kubelet does not answer cannot be drained: its pods are ended where they run."""
        return [name for name, node in found.nodes.items() if node.node and node.ready and name not in found.dead]

    def _drain(self, found: Found) -> None:
        asked, names = self.wish.asked, self._drained(found)
        try:
            node_drain.drain(self.staying, self.pool, self.request.listener, names, deadline_s=asked.deadline_s, force=asked.force)
        except ApplyError as error:
            error.hint = f"They stay cordoned. {AGAIN} Or take it back: invoke node.uncordon {','.join(names)}"
            raise

    def _etcd(self, found: Found) -> None:
        """One member after the other, each in the order that keeps the quorum; who leads hands over to one that stays."""
        going = [host.name for host in self.hosts if host.is_master]
        if not going:
            return
        staying = words.voting(found.members, self.names)
        for member in etcd_members.may_leave(self.prepared, self.pool, going).order:
            host = self.prepared.spec.host(member.name)
            if host.name not in found.dead:
                self.pool.map(lambda host, connection: cluster.one(connection, words.hand_over(host, staying), deadline_s=60), [host])
            etcd_members.remove(self.prepared, self.pool, member.name)

    def _nodes(self) -> None:
        node_drain.ask(self.staying, self.pool, partial(words.forget_nodes, names=self.names), what="the nodes cannot be deleted")

    def _clean(self, hosts: Sequence[Host], found: Found) -> dict[str, str]:
        leave = partial(down.leave_host, command=self.wish.command)
        outcomes = self.pool.map(lambda host, connection: leave(self.request, connection, host, found.ledgers[host.name]), hosts)
        raise_together(failures(outcomes))
        return answered(outcomes)
