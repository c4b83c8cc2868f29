"""Desired and observed → Plan: every host compared in every stage, and the objects of the Kubernetes API last."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import CLUSTER, Change, Gate, HostPlan, Plan, Stage
from kbootstrap.model.resource import Manifest, Node
from kbootstrap.plan import manifests
from kbootstrap.plan.compare import RELOAD, compare_stage, stale
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import STAGES, WORKERS

ADD_ONS = STAGES[-1].name
BEHIND_WORKERS: Final = next(later.name for stage, later in pairwise(STAGES) if stage.name == WORKERS)
ENDPOINT: Final = "service/kb-endpoint.service"


def _leaves_in(leaving: tuple[Change, ...]) -> str:
    """The stage in which a host gives up what no role declares any more: the first; but an endpoint stays until kubelet and kube-proxy have moved."""
    return BEHIND_WORKERS if any(change.key == ENDPOINT for change in leaving) else STAGES[0].name


def _gates(changes: tuple[Change, ...], gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    """Gates wait for services that were started; a changed file mode needs none."""
    return gates if any(c.key.startswith("service/") for c in changes) else ()


def plan(
    desired: Desired,
    observed: Mapping[str, Observed],
    ledgers: Mapping[str, Ledger],
    live: Mapping[str, Any] | None,
    *,
    only: tuple[str, ...] = (),
    limited: bool = False,
) -> Plan:
    """The plan for the hosts that were read. *live* are the API's objects (None: no API answers); *only* keeps changes by id or key."""
    stages = []
    earlier: dict[str, list[Change]] = {name: [] for name in observed}
    for stage in STAGES:
        hosts = []
        for name, seen in observed.items():
            wanted = desired.hosts[name][stage.name]
            leaving = stale(name, desired, ledgers[name]) if stage.name in (STAGES[0].name, BEHIND_WORKERS) else ()
            first = leaving if stage.name == _leaves_in(leaving) else ()
            changes = _kept((*first, *compare_stage(name, wanted, seen, ledgers[name], earlier[name])), only)
            earlier[name] += changes
            if changes:
                hosts.append(HostPlan(host=name, changes=changes, gates=_gates(changes, wanted.gates)))
        if stage.name == ADD_ONS and (objects := _kept(manifests.compare(_reached(desired, observed, limited), live), only)):
            hosts.append(HostPlan(host=CLUSTER, changes=objects))
        if hosts:
            stages.append(Stage(name=stage.name, hosts=tuple(hosts)))
    return Plan(stages=tuple(stages))


def _reached(desired: Desired, observed: Mapping[str, Observed], limited: bool) -> list[Manifest | Node]:
    """The API's objects without the nodes of hosts that were not read: they would be waited for in vain. With a limit, nodes only."""
    return [wanted for wanted in desired.cluster if (wanted.name in observed if isinstance(wanted, Node) else not limited)]


def _kept(changes: tuple[Change, ...], only: tuple[str, ...]) -> tuple[Change, ...]:
    """Those asked for; the reload goes with a unit's text or its start, or systemd would run what it read before and the record say otherwise."""
    kept = {c.key for c in changes if not only or c.id in only or c.key in only}
    if any(key.startswith((f"{paths.UNITS}/", "service/")) for key in kept):
        kept.add(RELOAD)
    return tuple(c for c in changes if c.key in kept)
