"""``inventory/<cluster>/state.yml``: what was decided once and never moves: the cluster's id, each host's pod range.

It holds no secret, and belongs into the backup beside ``pki/``: without it the hosts' marker names another cluster, and every run refuses them.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from kbootstrap.errors import InventoryError
from kbootstrap.model.cluster import ClusterSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The last change of the Kubernetes version: *origin* → *target*; *back*: by ``cluster.rollback``; *snapshot*: etcd before it."""

    origin: str
    target: str
    back: bool = False
    done: bool = False
    snapshot: str = ""

    @property
    def unkept(self) -> bool:
        """Whether etcd has yet to be kept. A way back has its snapshot from before; where no version changes there is no before."""
        return not self.back and not self.snapshot and self.origin != self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """*pod_ranges*: host → its range, kept also for hosts that left; *rollout*: the last change of the version."""

    cluster_id: str = ""
    pod_ranges: Mapping[str, IPv4Network] = field(default_factory=dict)
    rollout: Rollout | None = None


def load(path: Path) -> State:
    """The state, or an empty one where there is no file yet. InventoryError if it cannot be read as one."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return State()
    try:
        document = yaml.safe_load(text)
        ranges = {str(h): IPv4Network(r) for h, r in (document.get("pod_ranges") or {}).items()}
        rollout = Rollout(**document["rollout"]) if document.get("rollout") else None
        return State(cluster_id=str(document["cluster_id"]), pod_ranges=ranges, rollout=rollout)
    except (yaml.YAMLError, AttributeError, KeyError, ValueError, TypeError) as error:
        raise InventoryError(f"{path} is damaged: {error}", hint=f"Restore it from a backup, or from {path}.previous.") from error


def new_id() -> str:
    """The id of a cluster, or of an inventory that is no cluster yet: hosts keep it, so that no other inventory touches what is ours there."""
    return str(uuid.uuid4())


def complete(state: State, spec: ClusterSpec) -> State:
    """The state with a cluster id and the lowest free pod range for every host that has none; what is assigned never moves.

    InventoryError when it would have to: the network's range was moved away from it, or is used up, also by hosts that left.
    """
    ranges, pods = dict(state.pod_ranges), spec.network.pods
    for host in spec.hosts:
        if host.name in ranges and not ranges[host.name].subnet_of(pods):
            what = f"{host.name} has the pod range {ranges[host.name]}, which is not in network.pods {pods}"
            raise InventoryError(what, hint="Ranges never move: take network.pods back to what it was.")
    taken = tuple(ranges.values())  # perhaps of another size: host_prefix may change for hosts to come
    free = (net for net in pods.subnets(new_prefix=spec.network.host_prefix) if not any(map(net.overlaps, taken)))
    for host in spec.hosts:
        if host.name in ranges:
            continue
        if (found := next(free, None)) is None:
            hint = "Hosts that left keep theirs; one that is surely gone may be deleted below pod_ranges in state.yml."
            raise InventoryError(f"network.pods {pods} has no range left for {host.name}", hint=hint)
        ranges[host.name] = found
    return replace(state, cluster_id=state.cluster_id or new_id(), pod_ranges=ranges)


def save(path: Path, state: State) -> None:
    """Atomic; the last good copy stays as ``state.yml.previous``."""
    document: dict[str, object] = {
        "cluster_id": state.cluster_id,
        "pod_ranges": {h: str(r) for h, r in state.pod_ranges.items()},
    }
    if state.rollout is not None:
        document["rollout"] = asdict(state.rollout)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write("# Written by kbootstrap; decided once, never moved. Keep it with pki/ in the backup.\n")
        yaml.safe_dump(document, file, sort_keys=False)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        previous = path.with_suffix(".yml.previous")
        previous.unlink(missing_ok=True)
        os.link(path, previous)
    new.replace(path)
