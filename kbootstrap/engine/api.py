"""The Kubernetes API's part of the story: asked once with everything else, applied last, waited for with patience only after changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kbootstrap.engine import bindings, cluster, health
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.timing import stage
from kbootstrap.errors import ApplyError
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import CLUSTER, Plan
from kbootstrap.model.report import Result
from kbootstrap.model.resource import Node
from kbootstrap.plan.build import ADD_ONS
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock

PATIENCE_S = 330.0  # kubelet's longest back-off, and a little
SETTLING_S = 60.0
APISERVER = "kube-apiserver.service"


def ask(prepared: Prepared, pool: Pool, observed: Mapping[str, Observed], listener: Listener) -> tuple[str, Mapping[str, Any] | None]:
    """The first master whose API server answers and the live objects; ``("", None)`` when there is no API yet.

    A master that --limit left out is asked too: the API is every host's."""
    for host in prepared.spec.masters:
        seen = observed.get(host.name)
        unit = seen.kinds.get("service", {}).get(APISERVER) if seen else None
        if seen is not None and (unit is None or not unit.active):
            continue
        outcome = pool.map(lambda h, connection: cluster.get(connection, h, prepared.desired.cluster), [host])[host.name]
        if outcome.ok:
            return host.name, outcome.get()
        if seen is not None and outcome.error is not None:
            listener(Note(host=host.name, text=f"its API server runs and does not answer: {outcome.error.message}", warning=True))
    return "", None


def healthy_master(prepared: Prepared, pool: Pool) -> Host:
    """A master whose API server answers: asked for a while, since what was just changed may still be settling. ApplyError when none does."""
    end = clock.monotonic_s() + SETTLING_S
    while True:
        for host in prepared.spec.masters:
            outcome = pool.map(lambda h, connection: cluster.ready(connection, h), [host])[host.name]
            if outcome.ok and outcome.get():
                return host
        if clock.monotonic_s() > end or pool.stopping.is_set():
            raise ApplyError("no API server answers", hint="invoke cluster.status")
        clock.pause(0.5)


def apply(prepared: Prepared, pool: Pool, listener: Listener, plan: Plan, *, without: Collection[str] = ()) -> None:
    """The changed objects through a healthy master; the first bindings before them, with a credential of ten minutes.

    *without* are hosts whose nodes are not waited for.
    """
    changes = [c for stage in plan.stages for host in stage.hosts if host.host == CLUSTER for c in host.changes]
    changes = [c for c in changes if not (isinstance(c.resource, Node) and c.resource.name in without)]
    if not changes:
        return
    with stage(listener, ADD_ONS):
        leader = healthy_master(prepared, pool)
        connection = pool.connection(leader)
        first = [c for c in changes if bindings.needed(prepared, [c])]
        if first:
            bindings.make(prepared, connection, leader)
        rest = [c for c in changes if c.resource is not None and c not in first]
        if rest:
            cluster.apply(connection, leader, rest)


def wait_ready(prepared: Prepared, pool: Pool, live: Mapping[str, Any] | None, hosts: Sequence[str], *, patient: bool) -> list[Result]:
    """The nodes of *hosts* Ready and our deployments available, as the API says; *live* was just read; *patient* asks again after a change."""
    end = clock.monotonic_s() + (PATIENCE_S if patient else 0)
    live = _get(prepared, pool) if live is None else live  # with --limit no master may have been among those that were read
    while True:
        results = _ready(live, hosts)
        if all(result.ok for result in results) or clock.monotonic_s() >= end:
            return results
        clock.pause(0.5)
        live = _get(prepared, pool)


def settling(live: Mapping[str, Any] | None, hosts: Sequence[str]) -> bool:
    """Whether something stopped being ready so shortly ago that it may still be on its way: an earlier run may have ended before it had waited."""
    now = clock.now()
    return live is not None and any((now - since).total_seconds() < PATIENCE_S for since in health.unready_since(live, hosts))


def _get(prepared: Prepared, pool: Pool) -> Mapping[str, Any] | None:
    for host in prepared.spec.masters:
        outcome = pool.map(lambda h, connection: cluster.get(connection, h, prepared.desired.cluster), [host])[host.name]
        if outcome.ok:
            return outcome.get()
    return None


def _ready(live: Mapping[str, Any] | None, hosts: Sequence[str]) -> list[Result]:
    if live is not None:
        return [*health.nodes(live, hosts), *health.deployments(live)]
    return [Result(check="api", where="cluster", ok=False, detail="no API server answers", hint="invoke cluster.status")]
