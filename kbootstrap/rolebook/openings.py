"""The matrix of ports as the resource that a host's firewall is compared with."""

from __future__ import annotations

from typing import Final

from kbootstrap import topology
from kbootstrap.model.cluster import ClusterSpec, Host, Plugin, ProxyMode
from kbootstrap.model.resource import Allow, Firewall

NAME: Final = "openings"
_UNITS: Final = {Plugin.ROUTES: "kb-routes.service", Plugin.VXLAN: "kb-vxlan.service"}


def openings(spec: ClusterSpec, host: Host) -> Firewall:
    """Only what the matrix says; a source that is anybody is no restriction."""
    return Firewall(
        name=NAME,
        rules=tuple(_allow(opening) for opening in topology.openings(spec, host)),
        pods=spec.network.pods,
        opens=host.firewall.opens,
        strict=host.firewall.strict,
        proxy_table="ip kube-proxy" if host.proxy.mode is ProxyMode.NFTABLES else "",
        network_unit=_UNITS.get(spec.network.plugin, ""),
    )


def _allow(opening: topology.Opening) -> Allow:
    port = opening.port
    anybody = topology.ANYWHERE in opening.networks
    networks = () if anybody else opening.networks
    return Allow(protocol=port.protocol, first=port.first, last=port.last, hook=opening.hook.value, networks=networks, purpose=port.purpose)
