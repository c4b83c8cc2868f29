"""Another Kubernetes version, as an order of work: the same plan as ever, its changes sorted so that the version skew policy holds at every moment.

Upwards: etcd, API servers one by one, then who asks them, then each node by itself. Downwards the other way round. What a turn changes is kept on
its host before (``upgrade_sh``), so that a host whose new version does not come up gets everything back byte for byte.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.desired import Desired
from kbootstrap.model.plan import CLUSTER, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import Service
from kbootstrap.plan.compare import RELOAD
from kbootstrap.plan.stages import FIREWALL, RUNTIME, STAGES, WORKERS

SERVERS: Final = "API SERVERS"
CONTROLLERS: Final = "CONTROLLERS"
NODES: Final = "NODES"
HOSTS: Final = "HOSTS"
ETCD: Final = "ETCD"
ENDPOINT: Final = "ENDPOINT"
CONTROL_PLANE: Final = "CONTROL PLANE"
NETWORK: Final = "NETWORK"
ADD_ONS: Final = STAGES[-1].name
APISERVER: Final = "service/kube-apiserver.service"

UP: Final = (HOSTS, FIREWALL, ETCD, SERVERS, CONTROLLERS, ENDPOINT, NODES, ADD_ONS)
BACK: Final = (HOSTS, FIREWALL, NODES, CONTROLLERS, SERVERS, ETCD, ENDPOINT, ADD_ONS)
REASONS: Final[Mapping[str, str]] = {
    ETCD: "one member at a time, the leader hands over first",
    SERVERS: "one at a time, each ready before the next: nothing may be newer than an API server that it asks",
    CONTROLLERS: "one master at a time, once every API server is new",
    NODES: "drained, changed, Ready with its new version, then it takes pods again",
}
_ALONE: Final = frozenset({ETCD, SERVERS, CONTROLLERS})
_DISTURBS: Final = frozenset({"service/kubelet.service", "service/containerd.service"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is done to one host before the next one is touched: *parts* one after the other, each with its gates.

    *alone*: no other node takes ordinary pods, so its own have nowhere to go; they outlive their kubelet's restart.
    """

    host: str
    parts: tuple[HostPlan, ...]
    alone: bool = False

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(change for part in self.parts for change in part.changes)

    @property
    def drains(self) -> bool:
        """Whether what runs its pods restarts; a node that is new has none."""
        return not self.alone and any(change.key in _DISTURBS and not change.reason.startswith("new unit") for change in self.changes)

    @property
    def units(self) -> tuple[str, ...]:
        """The units that are started anew."""
        return tuple(change.key.removeprefix("service/") for change in self.changes if isinstance(change.resource, Service))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Turns of one kind. *width*: how many hosts may be at work at once; 0 is all."""

    name: str
    turns: tuple[Turn, ...]
    width: int = 0


def waves(plan: Plan, desired: Desired, spec: ClusterSpec, *, max_unavailable: int = 1, back: bool = False) -> tuple[Wave, ...]:
    """The changes of *plan* in the order of an upgrade, or of a way *back*; what goes through the API is in none."""
    stages = {stage.name: tuple(host for host in stage.hosts if host.host != CLUSTER) for stage in plan.stages}
    control = [(host, *_split(host, desired)) for host in stages.get(CONTROL_PLANE, ())]
    found = {name: [Turn(host=host.host, parts=(host,)) for host in stages.get(name, ())] for name in (HOSTS, FIREWALL, ETCD, ENDPOINT)}
    found[SERVERS] = [Turn(host=host.host, parts=(mine,)) for host, mine, _ in control if mine.changes]
    found[CONTROLLERS] = [Turn(host=host.host, parts=(others,)) for host, _, others in control if others.changes]
    found[NODES] = list(_nodes([stages.get(name, ()) for name in (RUNTIME, WORKERS, NETWORK)], {host.name for host in spec.workers}))
    widths = {NODES: max_unavailable} | dict.fromkeys(_ALONE, 1)
    order = BACK if back else UP
    return tuple(Wave(name=name, turns=tuple(found[name]), width=widths.get(name, 0)) for name in order if found.get(name))


def _split(host: HostPlan, desired: Desired) -> tuple[HostPlan, HostPlan]:
    """The control plane's changes on *host*: what only its controllers are made of comes apart; a reload of systemd goes with both."""
    services = [r for r in desired.hosts[host.host][CONTROL_PLANE].resources if isinstance(r, Service)]
    theirs = {key for each in services if each.key != APISERVER for key in _made_of(each)}
    theirs -= {key for each in services if each.key == APISERVER for key in _made_of(each)}
    return _only(host, [c for c in host.changes if c.key not in theirs]), _only(host, [c for c in host.changes if c.key in theirs or c.key == RELOAD])


def _made_of(service: Service) -> set[str]:
    return {service.key, paths.unit(service.name), *service.inputs, *service.binaries}


def _only(host: HostPlan, changes: Sequence[Change]) -> HostPlan:
    kept = tuple(changes) if any(change.key != RELOAD for change in changes) else ()
    restarts = any(isinstance(change.resource, Service) for change in kept)
    return replace(host, changes=kept, gates=host.gates if restarts else ())


def _nodes(stages: Iterable[Sequence[HostPlan]], workers: Collection[str]) -> Iterator[Turn]:
    parts: dict[str, list[HostPlan]] = {}
    for stage in stages:
        for host in stage:
            parts.setdefault(host.host, []).append(host)
    for name, mine in parts.items():
        yield Turn(host=name, parts=tuple(mine), alone=set(workers) == {name})


def ordered(plan: Plan, found: Sequence[Wave]) -> Plan:
    """*plan* as it will be worked, for who reads it."""
    stages = [Stage(name=w.name, hosts=tuple(HostPlan(host=t.host, changes=t.changes) for t in w.turns)) for w in found]
    objects = [Stage(name=s.name, hosts=mine) for s in plan.stages if (mine := tuple(host for host in s.hosts if host.host == CLUSTER))]
    return Plan(stages=(*stages, *objects))
