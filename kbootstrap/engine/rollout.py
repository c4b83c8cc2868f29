"""The turns of an upgrade on the hosts: keep, drain, change, wait until it is well; or put back what was there, and stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.engine import api, cluster, node_drain
from kbootstrap.engine.apply import Applying, run_steps, send
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import stage
from kbootstrap.errors import ApplyError, ConnectError, KbError, LockError, PreflightError, Problem
from kbootstrap.model.events import Note
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Gate, HostPlan, Plan
from kbootstrap.plan import causes
from kbootstrap.plan import upgrade_sh as words
from kbootstrap.plan import words as last
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.plan.redact import redacted
from kbootstrap.plan.upgrade import CONTROLLERS, ETCD, NODES, SERVERS, Turn, Wave
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, failures
from kbootstrap.resources.difference import sh
from kbootstrap.store import clock

KEEP_S: Final = 300.0
NODE_S: Final = 180.0
PATIENCE_S: Final = 60.0  # an API server that is just busy
_WATCHED: Final = frozenset({ETCD, SERVERS, CONTROLLERS, NODES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """What every turn needs; *drain_s* and *force* as ``node_drain.drain`` takes them."""

    request: Request
    prepared: Prepared
    pool: Pool
    command: str
    drain_s: float
    force: bool = False

    @property
    def target(self) -> str:
        return self.prepared.spec.kubernetes

    def work(self, applying: Applying, waves: Sequence[Wave], plan: Plan) -> None:
        """All *waves*, then what goes through the API. ApplyError when a host failed; nothing follows it."""
        for wave in waves:
            with stage(applying.listener, wave.name):
                self._wave(applying, wave)
        api.apply(self.prepared, self.pool, applying.listener, plan)

    def offer(self, plan: Plan, names: Iterable[str]) -> None:
        """What hosts keep of another version need not travel again where *plan* wants it."""
        wanted = {name: [c.blob.sha256 for c in plan.changes() if c.host == name and c.blob is not None] for name in names}
        hosts = [self.prepared.spec.host(name) for name in wanted]
        outcomes = self.pool.map(lambda host, connection: self._step(connection, "offer", words.offer(wanted[host.name])), hosts)
        for outcome in outcomes.values():
            outcome.get()

    def begin(self, names: Iterable[str]) -> None:
        """What hosts keep of another change goes. Once it is known that this one begins: it is what the other one goes back to."""
        self._everywhere("begin", words.begin(), names)

    def tidy(self, names: Iterable[str]) -> None:
        """Nothing stays in the hosts' stores, and no node cordoned, of a command that was cut off."""
        known = list(names)
        self._everywhere("tidy", f"rm -f {paths.BLOBS}/*\n", known)
        node_drain.release(self.prepared, self.pool, self.request.listener, known)

    def _everywhere(self, name: str, text: str, names: Iterable[str]) -> None:
        hosts = [self.prepared.spec.host(each) for each in names]
        for outcome in self.pool.map(lambda _, connection: self._step(connection, name, text), hosts).values():
            outcome.get()

    def _step(self, connection: Connection, name: str, text: str) -> None:
        run_steps(connection, [(name, text, KEEP_S)], b"", self.request.listener)

    def flags(self, applying: Applying, waves: Sequence[Wave]) -> None:
        """Every new program reads its flags before any is installed. PreflightError if one does not know them; then hosts are as they were."""
        changes = [change for wave in waves for turn in wave.turns for change in turn.changes]
        hosts = [host for host in self.prepared.spec.hosts if any(change.host == host.name for change in changes)]

        def tried(host: Host, connection: Connection) -> str:
            for change in changes:
                if change.host == host.name and change.blob is not None:
                    applying.pushes[host.name].wait(change.blob.sha256)
            text = words.try_flags(self.prepared.desired, host.name, words.arguments(self.prepared.spec, host))
            return cluster.one(connection, text, deadline_s=KEEP_S)[1].decode("utf-8", "replace")

        refused: list[Problem] = []
        for name, outcome in self.pool.map(tried, hosts).items():
            bad, old = words.flags_told(name, outcome.get(), self.target)
            refused += bad
            for line in old:
                applying.listener(Note(host=name, text=line, warning=True))
        if refused:
            self.tidy(applying.pushes)
            raise PreflightError(f"Kubernetes {self.target} does not take the flags it would get; nothing was changed", problems=refused)

    def _wave(self, applying: Applying, wave: Wave) -> None:
        size = wave.width or len(wave.turns)
        for start in range(0, len(wave.turns), size):
            group = {turn.host: turn for turn in wave.turns[start : start + size]}
            hosts = [self.prepared.spec.host(name) for name in group]
            outcomes = self.pool.map(partial(self._turn, applying, wave.name, group), hosts)
            if errors := failures(outcomes):
                raise self._stopped(wave, errors)

    def _turn(self, applying: Applying, wave: str, group: Mapping[str, Turn], host: Host, connection: Connection) -> None:
        turn = group[host.name]
        if wave in (ETCD, SERVERS):
            self._others_serve(turn.host)
        self._step(connection, "keep", words.keep(wave, turn))
        if turn.drains:
            self._drained(applying, turn.host)
        try:
            for part in turn.parts:
                send(applying, connection, part.changes, gates=self._gates(wave, part))
            if wave == NODES:
                self._node_is_new(turn.host)
        except LockError:  # the host is another run's now
            raise
        except KbError as error:
            if wave not in _WATCHED:
                raise
            raise self._put_back(applying, wave, turn, error) from error
        self._step(connection, "finished", words.finished(wave))
        node_drain.release(self.prepared, self.pool, applying.listener, [turn.host] if turn.drains else [])

    def _gates(self, wave: str, part: HostPlan) -> tuple[Gate, ...]:
        """What starts again and again is seen within seconds; the gate of its role would wait for it for minutes."""
        units = Turn(host=part.host, parts=(part,)).units
        return (words.steady(units), *part.gates) if units and wave in _WATCHED else part.gates

    def _others_serve(self, name: str) -> None:
        """ApplyError unless every other API server is ready: one at a time means that the others serve meanwhile."""
        others = [host for host in self.prepared.spec.masters if host.name != name]
        end = clock.monotonic_s() + PATIENCE_S
        while silent := {host.name for host in others} - self._serving(others):
            if clock.monotonic_s() > end or self.pool.stopping.is_set():
                raise ApplyError(f"left as it is: the API server of {', '.join(sorted(silent))} is not ready", hint="invoke cluster.status")
            clock.pause(1.0)

    def _serving(self, masters: Sequence[Host]) -> frozenset[str]:
        outcomes = self.pool.map(lambda host, connection: cluster.ready(connection, host), masters)
        return frozenset(name for name, outcome in outcomes.items() if outcome.ok and outcome.get())

    def _drained(self, applying: Applying, name: str) -> None:
        try:
            node_drain.drain(self.prepared, self.pool, applying.listener, [name], deadline_s=self.drain_s, by=self.command, force=self.force)
        except KbError:
            node_drain.release(self.prepared, self.pool, applying.listener, [name])
            raise

    def _node_is_new(self, name: str) -> None:
        """Ready, and said by the new kubelet: what the API knows of a node may be as old as its last report."""
        wanted, end = f"v{self.target} True", clock.monotonic_s() + NODE_S
        shown = "-o jsonpath='{.status.nodeInfo.kubeletVersion} {.status.conditions[?(@.type==\"Ready\")].status}'"
        while True:
            said = node_drain.ask(
                self.prepared,
                self.pool,
                lambda m: f"{kubectl(m)} --request-timeout=10s get node {sh(name)} {shown}\n",
                what="its node cannot be read",
            )
            if said.strip() == wanted:
                return
            if clock.monotonic_s() > end or self.pool.stopping.is_set():
                raise ApplyError(
                    f"its node is not Ready with {self.target}: {said.strip()}", host=name, hint=f"On {name}: journalctl -u kubelet -n 50"
                )
            clock.pause(0.5)

    def _put_back(self, applying: Applying, wave: str, turn: Turn, error: KbError) -> KbError:
        """What to tell of *error*, once the host has its former programs and units again, if it can be reached."""
        host = self.prepared.spec.host(turn.host)
        gates = [gate for part in turn.parts for gate in self._gates(wave, part)]
        steps = [("put back", words.put_back(wave, turn), KEEP_S), *((f"gate/{gate.name}", gate.text, gate.deadline_s) for gate in gates)]
        try:
            if isinstance(error, ConnectError):
                self.pool.forget(host)
            connection = self.pool.connection(host)
            said = last.parse(cluster.one(connection, last.probe(turn.units))[1].decode("utf-8", "replace"))
            run_steps(connection, steps, b"", applying.listener)
            node_drain.release(self.prepared, self.pool, applying.listener, [turn.host] if turn.drains else [])
        except KbError as other:
            hint = f"What it had lies in {words.place(wave)} there."
            return ApplyError(f"{error.message}; and it could not be put back: {other.message}", host=turn.host, hint=hint)
        what, hint = _why(turn.host, said, error)
        return ApplyError(f"did not come up with {self.target}, was put back to what it ran before, and serves. {what}", host=turn.host, hint=hint)

    def _stopped(self, wave: Wave, errors: Sequence[KbError]) -> ApplyError:
        """One error that tells it all: which hosts, why, who serves now, and what to do next."""
        problems = [problem for error in errors for problem in (error.problems or [error.problem])]
        serve = len(self._serving(self.prepared.spec.masters))
        names, masters = ", ".join(sorted({error.host for error in errors})), len(self.prepared.spec.masters)
        what = f"{self.command} stops in {wave.name} at {names}; {serve} of {masters} API servers serve"
        onward = f"invoke {self.command} --to {self.target}" if self.command == "cluster.upgrade" else f"invoke {self.command}"
        back = "; invoke cluster.rollback goes back" if self.command == "cluster.upgrade" else ""
        return ApplyError(what, problems=problems, hint=f"Mend the cause, and {onward} goes on where it stopped{back}.")


def _why(host: str, said: Mapping[str, Sequence[str]], error: KbError) -> tuple[str, str]:
    """The cause by its name and what mends it, where a unit's last words tell one; else those words."""
    for unit, lines in said.items():
        if cause := causes.named(host, unit, {}, lines):
            return redacted(f"{unit}: {cause.what} («{cause.line}»)"), cause.hint
    told = [f"{unit}: {line}" for unit, lines in said.items() for line in causes.stands_out(lines)]
    return redacted("\n    ".join([error.message, *told])), error.hint
