"""The table of certificates: who needs which, signed by whom, for which names, and where it lies on the host.

SANs are exactly the names by which a peer dials: the API server is reached as 127.0.0.1 (node-local endpoint), by its address, by the
service ``kubernetes`` and by what the user adds; a kubelet by its address only (``--kubelet-preferred-address-types=InternalIP``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from kbootstrap.catalog import names, paths
from kbootstrap.errors import InventoryError, Problem
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host, Role
from kbootstrap.model.pki import SERVICE_ACCOUNT, Place, Profile, Usage

COMMON_NAME_MAX: Final = 64  # RFC 5280 ub-common-name; OpenSSL refuses longer ones


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One certificate; ``{…}`` in texts is filled per host. *on* None: one for the cluster. *sans*: names and addresses, apart by blanks."""

    name: str
    on: tuple[Role, ...] | None
    issuer: str
    common_name: str
    organization: str = ""
    usages: tuple[Usage, ...] = (Usage.CLIENT,)
    sans: str = ""
    place: Place | None = None
    kubeconfig: str = ""


def _in(folder: str, name: str, owner: str = "root") -> Place:
    return Place(cert=f"{folder}/{name}.crt", key=f"{folder}/{name}.key", owner=owner)


_MASTER: Final = (Role.MASTER,)
_ALL: Final = (Role.MASTER, Role.WORKER)
_SERVER: Final = (Usage.SERVER,)
_BOTH: Final = (Usage.SERVER, Usage.CLIENT)  # an etcd member dials its peers, and its own gRPC gateway, with its server certificate
_API_SANS: Final = (
    "kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc.{domain} localhost {host} "
    "{address} 127.0.0.1 {api_service} {external} {extra_sans}"
)
_HEALTH_PEM: Final = f"{paths.PKI}/endpoint-health.pem"

# fmt: off
_ROWS: Final = (
    _Row(name="etcd-server", on=_MASTER, issuer=names.ETCD_CA, common_name="{host}", usages=_BOTH,
         sans="{host} localhost {address} 127.0.0.1", place=_in(paths.ETCD_PKI, "server", names.ETCD_USER)),
    _Row(name="etcd-peer", on=_MASTER, issuer=names.ETCD_CA, common_name="{host}", usages=_BOTH,
         sans="{host} {address}", place=_in(paths.ETCD_PKI, "peer", names.ETCD_USER)),
    _Row(name="apiserver", on=_MASTER, issuer=names.CLUSTER_CA, common_name="kube-apiserver", usages=_SERVER,
         sans=_API_SANS, place=_in(paths.PKI, "apiserver")),
    _Row(name="apiserver-etcd-client", on=_MASTER, issuer=names.ETCD_CA, common_name="kube-apiserver-etcd-client",
         place=_in(paths.PKI, "apiserver-etcd-client")),
    _Row(name="apiserver-kubelet-client", on=_MASTER, issuer=names.CLUSTER_CA, common_name=names.KUBELET_CLIENT_USER,
         place=_in(paths.PKI, "apiserver-kubelet-client")),
    _Row(name="front-proxy-client", on=_MASTER, issuer=names.FRONT_PROXY_CA, common_name="front-proxy-client",
         place=_in(paths.PKI, "front-proxy-client")),
    _Row(name="controller-manager", on=_MASTER, issuer=names.CLUSTER_CA, common_name="kube-controller-manager", usages=_SERVER,
         sans="localhost 127.0.0.1", place=_in(paths.PKI, "controller-manager")),
    _Row(name="scheduler", on=_MASTER, issuer=names.CLUSTER_CA, common_name="kube-scheduler", usages=_SERVER,
         sans="localhost 127.0.0.1", place=_in(paths.PKI, "scheduler")),
    _Row(name="kubelet-server", on=_ALL, issuer=names.CLUSTER_CA, common_name="system:node:{host}", organization="system:nodes", usages=_SERVER,
         sans="{host} {address}", place=_in(paths.PKI, "kubelet-server")),
    _Row(name="endpoint-health", on=_ALL, issuer=names.CLUSTER_CA, common_name=names.HEALTH_USER,
         place=Place(cert=_HEALTH_PEM, key=_HEALTH_PEM, combined=True)),
    _Row(name="controller-manager-client", on=_MASTER, issuer=names.CLUSTER_CA, common_name="system:kube-controller-manager",
         kubeconfig="controller-manager"),
    _Row(name="scheduler-client", on=_MASTER, issuer=names.CLUSTER_CA, common_name="system:kube-scheduler", kubeconfig="scheduler"),
    _Row(name="kubelet-client", on=_ALL, issuer=names.CLUSTER_CA, common_name="system:node:{host}", organization="system:nodes",
         kubeconfig="kubelet"),
    _Row(name="kube-proxy-client", on=_ALL, issuer=names.CLUSTER_CA, common_name="system:kube-proxy", organization="system:node-proxier",
         kubeconfig="kube-proxy"),
    _Row(name="admin", on=None, issuer=names.CLUSTER_CA, common_name=names.ADMIN_USER, organization=names.ADMIN_GROUP, kubeconfig="admin"),
)
# fmt: on

CAS: Final = (names.CLUSTER_CA, names.ETCD_CA, names.FRONT_PROXY_CA)

PLACES: Final[Mapping[str, Place]] = {
    names.CLUSTER_CA: Place(cert=paths.CA),
    names.ETCD_CA: Place(cert=f"{paths.ETCD_PKI}/ca.crt", owner=names.ETCD_USER),
    names.FRONT_PROXY_CA: Place(cert=f"{paths.PKI}/front-proxy-ca.crt"),
    SERVICE_ACCOUNT: Place(cert=f"{paths.PKI}/sa.pub", key=f"{paths.PKI}/sa.key"),
    **{row.name: row.place for row in _ROWS if row.place},
}
"""Name → place on a host, for everything that lies there as a file of its own (CAs and the service-account key too)."""

KUBECONFIGS: Final[Mapping[str, str]] = {row.kubeconfig: row.name for row in _ROWS if row.kubeconfig}
"""Component (as in ``catalog.paths.kubeconfig``) → name of the profile whose pair its kubeconfig carries."""


def profiles(spec: ClusterSpec) -> tuple[Profile, ...]:
    """Every certificate that *spec* needs, host by host in the inventory's order, the cluster-wide ones last.

    Raises InventoryError for a host whose name makes a common name longer than X.509 allows (52 characters are left for it).
    """
    wanted = [_profile(row, spec, host) for host in spec.hosts for row in _ROWS if row.on and host.roles.intersection(row.on)]
    wanted += [_profile(row, spec, None) for row in _ROWS if row.on is None]
    too_long = {p.host: p for p in wanted if len(p.common_name) > COMMON_NAME_MAX}
    if too_long:
        raise InventoryError(
            "A host's name is too long for its certificates.",
            hint="Give it a shorter name in cluster.yml; its address stays.",
            problems=[Problem(where=str(h), what=f"{p.common_name!r} is longer than the {COMMON_NAME_MAX} allowed") for h, p in too_long.items()],
        )
    return tuple(wanted)


def _profile(row: _Row, spec: ClusterSpec, host: Host | None) -> Profile:
    words = {
        "host": host.name if host else "",
        "address": str(host.address) if host else "",
        "domain": spec.network.domain,
        "api_service": str(spec.network.api_service),
        "external": spec.endpoint.address,
        "extra_sans": " ".join(spec.certificates.extra_sans),
    }
    dns_names, ip_addresses = _sort(row.sans.format_map(words).split())
    return Profile(
        name=row.name,
        host=host.name if host else None,
        issuer=row.issuer,
        common_name=row.common_name.format_map(words),
        organizations=(row.organization,) if row.organization else (),
        dns_names=dns_names,
        ip_addresses=ip_addresses,
        usages=row.usages,
        place=row.place,
        kubeconfig=row.kubeconfig,
    )


def _sort(sans: Iterable[str]) -> tuple[tuple[str, ...], tuple[IPv4Address | IPv6Address, ...]]:
    """Names and addresses apart, each once, in the order given."""
    dns_names: dict[str, None] = {}
    ip_addresses: dict[IPv4Address | IPv6Address, None] = {}
    for san in sans:
        try:
            ip_addresses[ip_address(san)] = None
        except ValueError:
            dns_names[san.lower()] = None  # lower case: RFC 4343, clients compare so
    return tuple(dns_names), tuple(ip_addresses)
