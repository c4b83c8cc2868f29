"""What a host's Node object shall say: labels, taints and pod range of the inventory."""

from __future__ import annotations

from ipaddress import IPv4Network

from kbootstrap.catalog import names
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.model.resource import Node


def control_plane_taint(host: Host) -> tuple[str, ...]:
    """Masters that are no workers repel ordinary pods."""
    return (f"{names.CONTROL_PLANE_LABEL}:NoSchedule",) if host.is_master and not host.is_worker else ()


def node(spec: ClusterSpec, host: Host, pod_range: IPv4Network) -> Node:
    """Labels of the roles and the inventory; taints likewise."""
    del spec
    labels = dict(host.labels)
    labels |= {names.CONTROL_PLANE_LABEL: ""} if host.is_master else {}
    labels |= {names.WORKER_LABEL: ""} if host.is_worker else {}
    return Node(name=host.name, labels=labels, taints=(*control_plane_taint(host), *map(str, host.taints)), pod_range=str(pod_range))
