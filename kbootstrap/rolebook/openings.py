"""The matrix of ports as the resource that a host's firewall is compared with."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from kbootstrap import topology
from kbootstrap.model import host as model
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.host import Host, ProxyMode
from kbootstrap.model.resource import Allow, Firewall
from kbootstrap.model.same import Same

NAME: Final = "openings"
_UNITS: Final = {Plugin.ROUTES: "kb-routes.service", Plugin.VXLAN: "kb-vxlan.service"}


def openings(spec: ClusterSpec, host: Host) -> Firewall:
    """Only what the matrix says; a source that is anybody is no restriction. Hosts alike get the very same value, so that what follows from it
    is worked out once."""
    return _openings(Same(spec), Same(topology.openings(spec, host)), host.firewall, host.proxy.mode)


@lru_cache(maxsize=64)
def _openings(same: Same[ClusterSpec], found: Same[tuple[topology.Opening, ...]], settings: model.Firewall, mode: ProxyMode) -> Firewall:
    spec = same.value
    return Firewall(
        name=NAME,
        rules=tuple(_allow(opening) for opening in found.value),
        pods=spec.network.pods,
        opens=settings.opens,
        strict=settings.strict,
        proxy_table="ip kube-proxy" if mode is ProxyMode.NFTABLES else "",
        network_unit=_UNITS.get(spec.network.plugin, ""),
    )


def _allow(opening: topology.Opening) -> Allow:
    port = opening.port
    anybody = topology.ANYWHERE in opening.networks
    networks = () if anybody else opening.networks
    return Allow(protocol=port.protocol, first=port.first, last=port.last, hook=opening.hook.value, networks=networks, purpose=port.purpose)
