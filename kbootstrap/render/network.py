"""The pod network: a bridge on each host, and the way to the other hosts' pods (plain routes, or a kernel VXLAN with static entries)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from kbootstrap.catalog.ports import VXLAN
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.host import Host
from kbootstrap.model.same import Same

BRIDGE: Final = "kb0"
VXLAN_DEVICE: Final = "kb-vxlan"
VXLAN_ID: Final = 1
ROUTE_PROTOCOL: Final = 201  # rtnetlink: 128 and above is free for anyone; marks the routes that are ours
_VXLAN_HEADERS: Final = 50  # outer IPv4, UDP, VXLAN and inner Ethernet
_ETHERNET_MTU: Final = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another host: its *range* of pods behind *address*; *gateway* and *mac* are its VXLAN device's."""

    name: str
    address: IPv4Address
    range: IPv4Network
    gateway: IPv4Address
    mac: str


def peers(spec: ClusterSpec, host: Host, pod_ranges: Mapping[str, IPv4Network]) -> tuple[Peer, ...]:
    """All hosts but *host*, in the order of the inventory."""
    return tuple(_peer(other, pod_ranges[other.name]) for other in spec.hosts if other.name != host.name)


def ways(spec: ClusterSpec, host: Host, pod_ranges: Mapping[str, IPv4Network]) -> str:
    """The commands that lead from *host* to the pods of all others, behind one another; the template has them in one piece, since each of
    1000 hosts has 999."""
    return "\n".join(way for name, way in _ways(Same(spec), Same(pod_ranges)) if name != host.name)


@lru_cache(maxsize=2)
def _ways(spec: Same[ClusterSpec], pod_ranges: Same[Mapping[str, IPv4Network]]) -> tuple[tuple[str, str], ...]:
    """Host → the commands that lead to its pods from any other."""
    command = {Plugin.ROUTES: _route, Plugin.VXLAN: _tunnel}[spec.value.network.plugin]
    return tuple((host.name, command(_peer(host, pod_ranges.value[host.name]))) for host in spec.value.hosts)


def _route(peer: Peer) -> str:
    return f"  ip -4 route replace {peer.range} via {peer.address} proto {ROUTE_PROTOCOL} # {peer.name}"


def _tunnel(peer: Peer) -> str:
    return (
        f'  bridge fdb replace {peer.mac} dev "$device" dst {peer.address} self permanent # {peer.name}\n'
        f'  ip -4 neighbour replace {peer.gateway} lladdr {peer.mac} dev "$device" nud permanent\n'
        f'  ip -4 route replace {peer.range} via {peer.gateway} dev "$device" onlink proto {ROUTE_PROTOCOL}'
    )


def _peer(host: Host, pods: IPv4Network) -> Peer:
    return Peer(name=host.name, address=host.address, range=pods, gateway=pods.network_address, mac=mac(host.address))


def mac(address: IPv4Address) -> str:
    """The MAC of the VXLAN device of the host at *address*: locally administered, the same at every run, so that neighbours need not learn it."""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x6B, *address.packed))


def link_mtu(spec: ClusterSpec) -> int:
    """What the hosts' network carries; Ethernet's 1500 unless the inventory says otherwise. Where a path carries less, the MSS is clamped to it."""
    return spec.network.mtu or _ETHERNET_MTU


def pod_mtu(spec: ClusterSpec) -> int:
    """What a pod's interface may send."""
    return link_mtu(spec) - (_VXLAN_HEADERS if spec.network.plugin is Plugin.VXLAN else 0)


def cni(spec: ClusterSpec, pods: IPv4Network) -> dict[str, Any]:
    """The CNI configuration of a host with the range *pods*. Leases lie in /run: a host that lost power starts with none that nobody returns."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": str(pods)}]], "dataDir": "/run/cni"}
    bridge = {"type": "bridge", "bridge": BRIDGE, "isDefaultGateway": True, "hairpinMode": True, "mtu": pod_mtu(spec), "ipam": ipam}
    portmap = {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "kbootstrap", "plugins": [bridge, portmap]}


def not_masqueraded(spec: ClusterSpec) -> tuple[str, ...]:
    """Where pods go under their own address: to pods, and with plain routes also to the hosts, which know the way back. A VXLAN's underlay may
    drop a pod's address, so there a pod reaches hosts under its own host's address."""
    hosts = tuple(str(host.address) for host in spec.hosts) if spec.network.plugin is Plugin.ROUTES else ()
    return (str(spec.network.pods), *hosts)


@lru_cache(maxsize=2)
def _direct(spec: Same[ClusterSpec]) -> str:
    return ", ".join(not_masqueraded(spec.value))


def view(spec: ClusterSpec, host: Host, pod_ranges: Mapping[str, IPv4Network]) -> dict[str, Any]:
    """What the network's templates see on *host*."""
    pods = pod_ranges[host.name]
    return {
        "pods": str(spec.network.pods),
        "services": str(spec.network.services),
        "protocol": ROUTE_PROTOCOL,
        "ways": ways(spec, host, pod_ranges),
        "direct": _direct(Same(spec)),
        "cni": cni(spec, pods),
        "vxlan": {
            "device": VXLAN_DEVICE,
            "id": VXLAN_ID,
            "port": VXLAN.number,
            "mac": mac(host.address),
            "address": pods.network_address,
            "mtu": pod_mtu(spec) if spec.network.mtu else 0,
        },
    }
