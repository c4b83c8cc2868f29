"""The nine stages: names that a reader of «Kubernetes the hard way» already knows, and the roles of each. The order is the order of work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDef:
    """*roles* are folders of ``roles/``."""

    name: str
    roles: tuple[str, ...]


FIREWALL = "FIREWALL"
ETCD = "ETCD"
CONTROL_PLANE = "CONTROL PLANE"
WORKERS = "WORKERS"
RUNTIME = "RUNTIME"  # also where every image is imported

STAGES: tuple[StageDef, ...] = (
    StageDef(name="HOSTS", roles=("host",)),
    StageDef(name=FIREWALL, roles=("firewall", "firewall-watch")),
    StageDef(name=RUNTIME, roles=("containerd",)),
    StageDef(name=ETCD, roles=("etcd",)),
    StageDef(name=CONTROL_PLANE, roles=("apiserver", "controller-manager", "scheduler")),
    StageDef(name="ENDPOINT", roles=("endpoint-haproxy", "endpoint-gateway")),
    StageDef(name=WORKERS, roles=("kubelet", "proxy")),
    StageDef(name="NETWORK", roles=("network-bridge", "network-routes", "network-vxlan")),
    StageDef(name="ADD-ONS", roles=("rbac", "coredns", "verify")),
)
