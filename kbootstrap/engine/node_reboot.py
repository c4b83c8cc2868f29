"""``node.reboot``: one host at a time: drained, rebooted, waited for until it serves as before, given back; then the next.

A host that cannot be emptied is left alone and the others go on; one that does not come back ends the run, since its place is missing. Nodes that
the operator had cordoned stay so. There is no record: a host's boot id tells whether it was booted anew, the mark at its node who cordoned it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kbootstrap.engine import cluster, down, etcd_members, etcd_status, node_asked, node_drain
from kbootstrap.engine.apply import run_steps
from kbootstrap.engine.contact import contact
from kbootstrap.engine.node_asked import Asked, named
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, ConnectError, HostKeyError, KbError, PreflightError, Problem, UsageError
from kbootstrap.model.events import Note, StageFinished, StageStarted
from kbootstrap.model.host import Host
from kbootstrap.plan import node_reboot as words
from kbootstrap.plan.checks.gates import move_leader
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.node_drain import Seen
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock
from kbootstrap.store.lock import hold

BY = "node.reboot"
SETTLE_S = 60.0
AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """*every* host instead of those named; *outage*: although etcd has no quorum meanwhile; *back_s*: how long a host may stay away."""

    asked: Asked
    every: bool = False
    outage: bool = False
    back_s: int = words.BACK_S


def reboot(request: Request, wish: Wish) -> Iterator[str]:
    """A line per host as it is back; nothing if somebody said no. PreflightError and ConnectError before anything is changed; ApplyError at the end
    for hosts that were left out, or at once for one that did not come back."""
    if wish.every == bool(wish.asked.names):
        raise UsageError("name hosts, or say --all", hint="invoke node.reboot w1,w2")
    with hold(request.folder.root, BY):
        known = contact(request.folder)
        hosts = known.spec.hosts if wish.every else named(known.spec, wish.asked.names)
        with request.connect(known) as pool:
            yield from _Rebooting(request=request, wish=wish, prepared=known, pool=pool).all(hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rebooting:
    request: Request
    wish: Wish
    prepared: Prepared
    pool: Pool
    left_out: list[Problem] = field(default_factory=list)

    def all(self, hosts: Sequence[Host]) -> Iterator[str]:
        alive = self._alive(hosts)
        nodes = node_asked.seen(self.prepared, self.pool, alive)
        if not self.wish.outage:
            self._refuse_outage(alive)
        leader = etcd_status.look(self.prepared, self.pool).leader
        order = words.order(alive, leader.host if leader else "")
        if not self.wish.asked.confirm([*(self._told(host, nodes[host.name]) for host in order), *(f"{p.where}: left out" for p in self.left_out)]):
            return
        for number, host in enumerate(order):
            try:
                if took := self._one(host):
                    yield took
            except KbError as error:
                rest = [each.name for each in order[number:]]
                hint = f"Mend it, then: invoke node.reboot {','.join(rest)}. If it is still cordoned: invoke node.uncordon {host.name}"
                raise ApplyError(
                    error.message, host=host.name, problems=[*error.problems, *self.left_out], hint=f"{error.hint} {hint}".strip()
                ) from error
        if self.left_out:
            again = ",".join(dict.fromkeys(problem.where.partition(" ")[0] for problem in self.left_out))
            raise ApplyError("not every host was rebooted", problems=self.left_out, hint=f"Mend them, then: invoke node.reboot {again}")

    def _alive(self, hosts: Sequence[Host]) -> list[Host]:
        """Those that answer. A dead one keeps no other from its reboot, unless it was named."""
        outcomes = self.pool.map(lambda _, connection: connection.host, hosts)
        problems = [Problem(where=name, what=each.error.message, hint=each.error.hint) for name, each in outcomes.items() if each.error]
        if problems and (not self.wish.every or len(problems) == len(hosts)):
            raise ConnectError("cannot be rebooted; nothing was changed", problems=problems, hint="Leave them out, or say --all, which does.")
        self.left_out.extend(problems)
        return [host for host in hosts if outcomes[host.name].ok]

    def _refuse_outage(self, hosts: Sequence[Host]) -> None:
        masters = [host.name for host in hosts if host.is_master]
        if not masters:
            return
        voters, alive = self._members()
        if problems := [Problem(where=name, what=why) for name in masters if (why := words.breaks(name, voters, alive))]:
            others = [host.name for host in hosts if not host.is_master]
            rest = f" The others: invoke node.reboot {','.join(others)}." if others else ""
            hint = f"Bring members back first (invoke etcd.status), or accept the gap with --outage.{rest}"
            raise PreflightError("a reboot would cost etcd its quorum; nothing was changed", problems=problems, hint=hint)

    def _members(self) -> tuple[set[str], frozenset[str]]:
        voters = {each.name for each in etcd_members.members(self.prepared, self.pool) if not each.learner}
        return voters, etcd_members.alive(self.prepared, self.pool)

    def _told(self, host: Host, node: Seen) -> str:
        stays = "; stays cordoned, as you had it" if node.cordoned and not node.cordoned_by else ""
        return (
            f"{node_asked.describe(node, self.wish.asked)}; reboot, back within {self.wish.back_s} s{stays}" if node.node else f"{host.name}: reboot"
        )

    def _one(self, host: Host) -> str:
        """The line of a host that is back; "" if it was left alone, which is said at the end."""
        began = clock.monotonic_s()
        self.request.listener(StageStarted(stage=f"reboot {host.name}"))
        connection = self.pool.connection(host)
        boot, units = words.seen(self._run(connection, words.look(down.read_ledger(connection))))
        node = node_drain.look(self.prepared, self.pool, host.name)
        with hold_host(connection, Owner.here(BY), take=self.request.take_lock):
            if node.node and not self._emptied(host):
                return ""
            self._quorum(host)
            if host.is_master:
                self._run(connection, move_leader(host))
            self._run(connection, words.REBOOT)
        new = self._back(host, boot)
        steps = [(f"gate/{gate.name}", gate.text, gate.deadline_s) for gate in words.back(host, units, self.wish.back_s)]
        if steps:
            run_steps(self.pool.connection(host), steps, b"", self.request.listener)
        if node.node:
            self._node(node, boot, new)
            node_drain.release(self.prepared, self.pool, self.request.listener, [host.name])
        took_s = clock.monotonic_s() - began
        self.request.listener(StageFinished(stage=f"reboot {host.name}", seconds=took_s))
        return f"{host.name}: rebooted, serves again after {took_s:.0f} s"

    def _emptied(self, host: Host) -> bool:
        """Drained for the reboot. One that cannot be gets its pods back and is told of at the end."""
        try:
            asked = self.wish.asked
            node_drain.drain(self.prepared, self.pool, self.request.listener, [host.name], deadline_s=asked.deadline_s, by=BY, force=asked.force)
        except (ApplyError, PreflightError) as error:
            node_drain.release(self.prepared, self.pool, self.request.listener, [host.name])
            self.left_out.extend(error.problems or [Problem(where=host.name, what=error.message, hint=error.hint)])
            self.request.listener(Note(host=host.name, text=f"is not rebooted: {error.message}", warning=True))
            return False
        return True

    def _quorum(self, host: Host) -> None:
        """The others make a quorum now, too: what was rebooted before may still be catching up."""
        end = clock.monotonic_s() + SETTLE_S
        while host.is_master and not self.wish.outage and (why := words.breaks(host.name, *self._members())):
            if clock.monotonic_s() > end or self.pool.stopping.is_set():
                node_drain.release(self.prepared, self.pool, self.request.listener, [host.name])
                raise PreflightError(why, host=host.name, hint="invoke etcd.status")
            clock.pause(AGAIN_S)

    def _run(self, connection: Connection, text: str) -> str:
        code, output, stderr = cluster.one(connection, text, deadline_s=60)
        if code != 0:
            raise ApplyError(f"{text.split(maxsplit=1)[0]}: {stderr.strip()[-300:]}", host=connection.host)
        return output.decode("utf-8", "replace")

    def _back(self, host: Host, boot: str) -> str:
        """The new boot's id, once somebody can log in again."""
        end, said = clock.monotonic_s() + self.wish.back_s, "is still the boot that was"
        while not self.pool.stopping.is_set():
            self.pool.forget(host)
            try:
                new, _ = words.seen(self._run(self.pool.connection(host), words.look(Ledger())))
                if new != boot:
                    return new
            except HostKeyError:
                raise
            except KbError as error:
                said = error.message
            if clock.monotonic_s() > end:
                break
            clock.pause(AGAIN_S)
        raise ApplyError(f"did not come back within {self.wish.back_s} s: {said}", host=host.name, hint="Look at its console.")

    def _node(self, before: Seen, boot: str, new: str) -> None:
        """Ready, as its new kubelet says: what the API knew of the one before stays «Ready» for a while."""
        tells = before.node.get("status", {}).get("nodeInfo", {}).get("bootID") == boot
        end = clock.monotonic_s() + self.wish.back_s
        while True:
            found = node_drain.look(self.prepared, self.pool, before.name)
            said = found.node.get("status", {}).get("nodeInfo", {}).get("bootID")
            if found.ready and (said == new or not tells):
                return
            if clock.monotonic_s() > end or self.pool.stopping.is_set():
                raise ApplyError("its node is not Ready after the reboot", host=before.name, hint=f"On {before.name}: journalctl -u kubelet -n 50.")
            clock.pause(AGAIN_S)
