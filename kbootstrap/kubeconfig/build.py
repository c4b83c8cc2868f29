"""Kubeconfigs of ours: of the operator, of a component on its host, of a person."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Final

from kbootstrap.catalog import names, ports
from kbootstrap.kubeconfig.document import dump, mark
from kbootstrap.model.cluster import ClusterSpec, EndpointKind
from kbootstrap.model.host import Host
from kbootstrap.model.pki import KeyPair, Pki

LOOPBACK: Final = "127.0.0.1"
_OWN_API: Final = frozenset({"controller-manager", "scheduler"})  # they must never be newer than the API server they talk to: their own host's


def build(
    cluster: str,
    servers: Mapping[str, str],
    *,
    ca_pem: bytes,
    user: str,
    pair: KeyPair | None = None,
    token: str = "",
    namespace: str = "",
    current: str = "",
    owner: str = "",
) -> str:
    """A kubeconfig with one cluster entry and one context for each of *servers* (entry name → URL), all with the same user: a *pair* or a *token*.

    *current* names the server of the current context; the first, when empty or unknown.
    """
    login = f"{cluster}-{user}"
    chosen = current if current in servers else next(iter(servers))
    credentials = {"client-certificate-data": _b64(pair.cert_pem), "client-key-data": _b64(pair.key_pem)} if pair else {"token": token}
    place = {"namespace": namespace} if namespace else {}
    return dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": url, "certificate-authority-data": _b64(ca_pem), **mark(cluster, owner)}}
                for name, url in servers.items()
            ],
            "users": [{"name": login, "user": {**credentials, **mark(cluster, owner)}}],
            "contexts": [
                {"name": f"{user}@{name}", "context": {"cluster": name, "user": login, **place, **mark(cluster, owner)}} for name in servers
            ],
            "current-context": f"{user}@{chosen}",
        }
    )


def for_host(spec: ClusterSpec, host: Host, component: str, *, ca_pem: bytes, pair: KeyPair) -> str:
    """The kubeconfig of *component* (controller-manager, scheduler, kubelet, kube-proxy, admin) on *host*.

    Controller manager and scheduler use their own host's API server, the others the endpoint.
    """
    url = own_url(host) if component in _OWN_API else endpoint_url(spec)
    user = names.ADMIN_USER if component == "admin" else component
    return build(spec.name, {spec.name: url}, ca_pem=ca_pem, user=user, pair=pair)


def admin(spec: ClusterSpec, pki: Pki, *, owner: str, current: str = "") -> str:
    """The operator's kubeconfig: the external endpoint, or one context per master, of which *current* (a host's name) is preselected."""
    return build(
        spec.name,
        servers(spec),
        ca_pem=pki.trust(names.CLUSTER_CA),
        user=names.ADMIN_USER,
        pair=pki.pair("admin"),
        current=f"{spec.name}-{current}",
        owner=owner,
    )


def servers(spec: ClusterSpec) -> dict[str, str]:
    """Where somebody outside the cluster finds the API: name of a cluster entry → URL."""
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        return {spec.name: endpoint_url(spec)}
    return {f"{spec.name}-{master.name}": own_url(master) for master in spec.masters}


def own_url(host: Host) -> str:
    """Where the API server of *host* itself answers."""
    return _url(str(host.address))


def endpoint_url(spec: ClusterSpec) -> str:
    """Where a host finds the API: the node-local endpoint, or the user's own address."""
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        return _url(spec.endpoint.address, spec.endpoint.port or ports.API.number)
    return _url(LOOPBACK)


def _url(address: str, port: int = ports.API.number) -> str:
    try:
        bare = f"[{address}]" if isinstance(ip_address(address), IPv6Address) else address
    except ValueError:
        bare = address
    return f"https://{bare}:{port}"


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
