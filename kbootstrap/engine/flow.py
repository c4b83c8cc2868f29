"""The first installation: nothing runs yet that could lose quorum, so no host waits for another.

Each host gets its small files of all stages in one stream, behind one reload of systemd; then, stage by stage and as its bytes arrive, binaries,
services and images; the gates last, when everything that they need is under way everywhere. A stage ends when its last host did.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kbootstrap.engine.apply import Applying, send
from kbootstrap.errors import ApplyError, KbError
from kbootstrap.model.events import StageFinished
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import CLUSTER, Change, Gate, HostPlan, Stage
from kbootstrap.model.resource import Binary, ContainerImage, Service
from kbootstrap.plan import batch
from kbootstrap.plan.compare import RELOAD
from kbootstrap.plan.stages import WORKERS
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import failures
from kbootstrap.store import clock

SMALL_FILES = "FILES"
API_S = 900.0  # a slow line may take so long to bring a master its binaries


def fresh(observed: Sequence[Observed]) -> bool:
    """Whether none of our services runs on any host: then there is nothing that an order of work could protect."""
    return not any(seen.active for one in observed for seen in one.kinds.get("service", {}).values())


def apply(applying: Applying, stages: Sequence[Stage]) -> list[KbError]:
    """Run *stages* on all hosts, each at its own pace; the errors of the hosts that failed. A master's failure stops the others between stages."""
    names = {plan.host for stage in stages for plan in stage.hosts} - {CLUSTER}
    pace = _Pace(applying, [SMALL_FILES, *(stage.name for stage in stages)], len(names))
    if not any(applying.spec.host(name).is_master for name in names):
        pace.api.set()  # the masters are up, and left out

    def work(host: Host, connection: Connection) -> None:
        mine = [(stage.name, plan) for stage in stages for plan in stage.hosts if plan.host == host.name]
        try:
            _host(applying, connection, mine, pace)
        except KbError:
            pace.stop |= host.is_master
            raise

    outcomes = applying.pool.map(work, [applying.spec.host(name) for name in names])
    return failures(outcomes)


def _late(change: Change) -> bool:
    """Needs bytes that are still on their way, or what those bytes bring."""
    return isinstance(change.resource, (Binary, ContainerImage, Service))


def _host(applying: Applying, connection: Connection, plans: Sequence[tuple[str, HostPlan]], pace: _Pace) -> None:
    changes = [change for _, plan in plans for change in plan.changes]
    reload = [change for change in changes if change.key == RELOAD][:1]
    early = batch.in_kinds(change for change in changes if not _late(change) and change.key != RELOAD)
    send(applying, connection, [*early, *reload])
    pace.done(SMALL_FILES)
    of = dict(plans)
    gates: list[Gate] = []
    for name in pace.stages[1:]:
        if name == WORKERS:
            _api_first(applying, connection, gates, pace)
            gates = []
        pace.go_on(connection.host)
        gates += of[name].gates if name in of else ()
        late = [change for change in of[name].changes if _late(change)] if name in of else []
        if late:
            send(applying, connection, late)
        pace.done(name)
    send(applying, connection, (), gates=gates)


def _api_first(applying: Applying, connection: Connection, gates: Sequence[Gate], pace: _Pace) -> None:
    """No kubelet starts before an API server is ready: one that finds none goes on trying to make its CSINode with pauses of 3, 19 and
    116 s (kubelet's nodeinfomanager), and its node is not Ready meanwhile. A master waits for its own gates, a worker for the first master."""
    if applying.spec.host(connection.host).is_master:
        send(applying, connection, (), gates=gates)
        pace.api.set()
        return
    end = clock.monotonic_s() + API_S
    while not pace.api.wait(0.1):
        pace.go_on(connection.host)
        if clock.monotonic_s() > end:
            raise ApplyError("no master has a ready API server", host=connection.host, hint="invoke cluster.status")
    if gates:
        send(applying, connection, (), gates=gates)


class _Pace:
    """Which stage is behind all hosts, and whether to stop."""

    def __init__(self, applying: Applying, stages: Sequence[str], hosts: int) -> None:
        self.stages = tuple(stages)
        self.stop = False
        self.api = threading.Event()
        self._stopping = applying.pool.stopping
        self._listener = applying.listener
        self._left = dict.fromkeys(stages, hosts)
        self._lock = threading.Lock()
        self._began = clock.monotonic_s()

    def go_on(self, host: str) -> None:
        """ApplyError when there is no point in it any more."""
        if self.stop or self._stopping.is_set():
            raise ApplyError("stopped: a master failed, or Ctrl-C", host=host)

    def done(self, stage: str) -> None:
        with self._lock:
            self._left[stage] -= 1
            if self._left[stage] == 0:
                self._listener(StageFinished(stage=stage, seconds=clock.monotonic_s() - self._began))
