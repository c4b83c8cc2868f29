"""What ``when:`` may say: each name is a question about the spec and one host, answered without contacting anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from kbootstrap.model.cluster import ClusterSpec, EndpointKind, Plugin
from kbootstrap.model.host import Host

Predicate = Callable[[ClusterSpec, Host], bool]


def _endpoint(kind: EndpointKind) -> Predicate:
    return lambda spec, _host: spec.endpoint.kind is kind


def _plugin(*plugins: Plugin) -> Predicate:
    return lambda spec, _host: spec.network.plugin in plugins


PREDICATES: Final[Mapping[str, Predicate]] = MappingProxyType(
    {
        # Where add-ons may run: workers; masters where they are all there is, since add-ons tolerate their taint then.
        "ordinary-pods": lambda spec, host: host.is_worker or not spec.workers,
        "endpoint-haproxy": _endpoint(EndpointKind.HAPROXY),
        "endpoint-gateway": _endpoint(EndpointKind.GATEWAY),
        "plugin-routes": _plugin(Plugin.ROUTES),
        "plugin-vxlan": _plugin(Plugin.VXLAN),
        "firewall-managed": lambda _spec, host: host.firewall.opens,
        "plugin-bridge": _plugin(Plugin.ROUTES, Plugin.VXLAN),
    }
)
