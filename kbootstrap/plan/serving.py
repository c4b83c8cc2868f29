"""Where a host serves TLS, and with whose certificate: what ``certs.check`` and the health checks ask is this one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kbootstrap.catalog import ports
from kbootstrap.model.cluster import ClusterSpec, EndpointKind
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.pki.inspect import fingerprint

LOOPBACK: Final = "127.0.0.1"
_APISERVER: Final = "apiserver"
_KUBELET: Final = "kubelet-server"
_OF_MASTERS: Final = ((_APISERVER, ports.API), ("etcd-server", ports.ETCD_CLIENT), ("etcd-peer", ports.ETCD_PEER))
_ON_LOOPBACK: Final = (("controller-manager", ports.CONTROLLER_MANAGER), ("scheduler", ports.SCHEDULER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """An address as a host dials it; *certificate* of one of *owners* (hosts) is served there, by *unit*."""

    certificate: str
    address: str
    port: int
    owners: tuple[str, ...]
    unit: str

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def sockets(spec: ClusterSpec, host: Host) -> tuple[Socket, ...]:
    """Every one of *host*; the node-local endpoint leads to any master's API server."""
    address = str(host.address)
    rows = [(name, address, port) for name, port in _OF_MASTERS if host.is_master]
    rows.append((_KUBELET, address, ports.KUBELET))
    rows += [(name, LOOPBACK, port) for name, port in _ON_LOOPBACK if host.is_master]
    found = [Socket(certificate=n, address=at, port=port.number, owners=(host.name,), unit=_unit(port)) for n, at, port in rows]
    if spec.endpoint.kind is not EndpointKind.EXTERNAL:
        masters = tuple(master.name for master in spec.masters)
        found.append(Socket(certificate=_APISERVER, address=LOOPBACK, port=ports.API.number, owners=masters, unit="kb-endpoint"))
    return tuple(found)


def _unit(port: ports.Port) -> str:
    return "etcd" if port in (ports.ETCD_CLIENT, ports.ETCD_PEER) else port.name


def owner(pki: Pki, socket: Socket, cert_pem: bytes) -> str:
    """The host of *socket*'s owners for which the operator's PKI holds just this certificate; "" if it is another."""
    served = fingerprint(cert_pem)
    ids = {name: f"{name}/{socket.certificate}" for name in socket.owners}
    return next((name for name, one in ids.items() if one in pki.pairs and fingerprint(pki.pairs[one].cert_pem) == served), "")
