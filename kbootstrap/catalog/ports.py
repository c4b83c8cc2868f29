"""The single table of ports: firewall rules, preflight, verification and documentation read it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Who must be able to reach a port."""

    SELF = "self"
    MASTERS = "masters"
    HOSTS = "hosts"
    PODS = "pods"
    OPERATOR = "operator"
    ALL = "all"


class Hook(StrEnum):
    """The netfilter hook that the packets cross on the destination host: what is translated to a pod's address is forwarded."""

    INPUT = "input"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One row: *first* to *last* (inclusive) on hosts that have one of *roles*, reached by *sources*; *protocol* is tcp, udp or any."""

    name: str
    roles: tuple[str, ...]
    protocol: str
    first: int
    last: int
    purpose: str
    sources: tuple[Source, ...]
    hooks: tuple[Hook, ...] = (Hook.INPUT,)
    plugin: str = ""  # only with this pod network

    @property
    def number(self) -> int:
        """The port of a row that has just one."""
        return self.first


def _row(
    name: str, roles: str, protocol: str, ports: str, purpose: str, *sources: Source, hooks: tuple[Hook, ...] = (Hook.INPUT,), plugin: str = ""
) -> Port:
    first, _, last = ports.partition("-")
    return Port(
        name=name,
        roles=tuple(roles.split()),
        protocol=protocol,
        first=int(first),
        last=int(last or first),
        purpose=purpose,
        sources=sources,
        hooks=hooks,
        plugin=plugin,
    )


SSH = _row("ssh", "master worker", "tcp", "22", "SSH of the operator", Source.OPERATOR)
API = _row("kube-apiserver", "master", "tcp", "6443", "Kubernetes API", Source.ALL, Source.PODS)
ETCD_CLIENT = _row("etcd-client", "master", "tcp", "2379", "etcd client API", Source.MASTERS)
ETCD_PEER = _row("etcd-peer", "master", "tcp", "2380", "etcd peers (Raft)", Source.MASTERS)
ETCD_METRICS = _row("etcd-metrics", "master", "tcp", "2381", "etcd metrics and health, loopback only", Source.SELF)
KUBELET = _row("kubelet", "master worker", "tcp", "10250", "kubelet API", Source.SELF, Source.MASTERS, Source.PODS)
SCHEDULER = _row("kube-scheduler", "master", "tcp", "10259", "kube-scheduler, loopback only", Source.SELF)
CONTROLLER_MANAGER = _row("kube-controller-manager", "master", "tcp", "10257", "kube-controller-manager, loopback only", Source.SELF)
KUBELET_HEALTH = _row("kubelet-health", "master worker", "tcp", "10248", "kubelet health, loopback only", Source.SELF)
PROXY_METRICS = _row("kube-proxy-metrics", "master worker", "tcp", "10249", "kube-proxy metrics, loopback only", Source.SELF)
PROXY_HEALTH = _row("kube-proxy-health", "master worker", "tcp", "10256", "kube-proxy health", Source.HOSTS)
_BOTH = (Hook.INPUT, Hook.FORWARD)  # a port without a service, or with its backend in the host's network, is answered by the host itself
NODEPORT_TCP = _row("nodeport-tcp", "worker", "tcp", "30000-32767", "NodePort services", Source.ALL, hooks=_BOTH)
NODEPORT_UDP = _row("nodeport-udp", "worker", "udp", "30000-32767", "NodePort services", Source.ALL, hooks=_BOTH)
VXLAN = _row("vxlan", "master worker", "udp", "8472", "pod network overlay", Source.HOSTS, plugin="vxlan")
PODS = _row("pods", "master worker", "any", "0-65535", "pods and services", Source.HOSTS, Source.PODS, hooks=(Hook.FORWARD,))

PORTS: tuple[Port, ...] = (
    SSH, API, ETCD_CLIENT, ETCD_PEER, ETCD_METRICS, KUBELET, SCHEDULER, CONTROLLER_MANAGER,
    KUBELET_HEALTH, PROXY_METRICS, PROXY_HEALTH, NODEPORT_TCP, NODEPORT_UDP, VXLAN, PODS,
)  # fmt: skip

BY_NAME: dict[str, Port] = {port.name: port for port in PORTS}
