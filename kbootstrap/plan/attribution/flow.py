"""A probe as packets: addresses, protocol, port."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.reach import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What asks: from *source* to *port* of *target*. Its answers come from *target* with *port* as their source port."""

    source: IPv4Address
    target: IPv4Address
    protocol: str  # tcp, udp
    port: int


def of(pair: Pair, spec: ClusterSpec) -> Flow:
    """The packets of *pair*, between the addresses of the inventory."""
    source, target = spec.host(pair.source).address, spec.host(pair.target).address
    return Flow(source=source, target=target, protocol=pair.port.protocol, port=pair.number)
