"""What ``report.html`` shows: gathered from the inventory, the PKI and, unless they are left in peace, the hosts. Changes nothing.

Nothing here fails because something else is broken: a report of a cluster in trouble is what it is made for.
"""

from __future__ import annotations

from dataclasses import replace

import kbootstrap
from kbootstrap import topology
from kbootstrap.catalog.ports import API
from kbootstrap.engine import ports, preflight
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepare import versions
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.status import status
from kbootstrap.errors import InventoryError, KbError, PkiError
from kbootstrap.model.cluster import ClusterSpec, EndpointKind
from kbootstrap.model.events import Listener
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.pki.inspect import Description, describe
from kbootstrap.remote.pool import Pool
from kbootstrap.report.html import reach
from kbootstrap.report.html.view import Certificate, Matrix, Network, Place, Row, View
from kbootstrap.store import clock, pki_dir, state
from kbootstrap.store.folder import Folder

_ENDPOINTS = {EndpointKind.HAPROXY: "haproxy", EndpointKind.GATEWAY: "etcd gateway"}


def collect(request: Request, *, offline: bool = False) -> View:
    """One look at the cluster of *request*'s folder; *offline* asks no host. Raises InventoryError, and nothing that hosts could cause."""
    known = contact(request.folder)
    drawn = _inventory(known, request.folder)
    if offline:
        return replace(drawn, unasked="No host was asked (--offline).")
    with request.connect(known) as pool:
        lent = replace(request, connect=lambda _: pool)  # one connection per host for all, and one wait for a host that is down
        seen = replace(drawn, status=status(lent))
        if len(seen.silent) == len(seen.places):
            return replace(seen, unasked="No host answers: what follows is what the inventory says.")
        findings = preflight.run(lent)
        return replace(seen, findings=findings, matrix=_proven(known.spec, pool, request.listener), now=clock.now())


def _inventory(known: Prepared, folder: Folder) -> View:
    """What is known without any host."""
    spec = known.spec
    certificates, pki_error = _certificates(folder)
    return View(
        cluster=spec.name,
        kubernetes=spec.kubernetes,
        made_by=f"kbootstrap {kbootstrap.__version__}",
        now=clock.now(),
        places=places(spec, known.state),
        network=_network(spec),
        endpoint=_endpoint(spec),
        versions=versions(spec),
        matrix=reach.matrix(rows(spec), ()),
        certificates=certificates,
        pki_error=pki_error,
        renew_within_days=spec.certificates.renew_within_days,
    )


def places(spec: ClusterSpec, known: state.State) -> tuple[Place, ...]:
    """The hosts, with the pod ranges that they have or would get."""
    try:
        ranges = state.complete(known, spec).pod_ranges
    except InventoryError:
        ranges = known.pod_ranges
    return tuple(_place(host, str(ranges.get(host.name, ""))) for host in spec.hosts)


def _place(host: Host, pod_range: str) -> Place:
    return Place(
        name=host.name,
        address=str(host.address),
        roles=tuple(role.value for role in sorted(host.roles)),
        arch=host.arch,
        pod_range=pod_range,
    )


def rows(spec: ClusterSpec) -> tuple[Row, ...]:
    """The matrix' rows as the report takes them."""
    return tuple(
        Row(port=row.port, targets=tuple(host.name for host in row.targets), sources=tuple(host.name for host in row.sources))
        for row in topology.rows(spec)
    )


def _proven(spec: ClusterSpec, pool: Pool, listener: Listener) -> Matrix:
    """The matrix with what was proven; where a cause could be found, with it."""
    try:
        proofs = ports.check(spec, pool, listener)
    except KbError as error:
        return reach.matrix(rows(spec), (), note=f"Nothing was proven: {error.message}.")
    return reach.matrix(rows(spec), proofs, note="" if proofs else "There is nothing to prove: no host must reach another.")


def _endpoint(spec: ClusterSpec) -> str:
    """The way that every host takes to the API, as a sentence's beginning."""
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        return f"Every host: {spec.endpoint.address}:{spec.endpoint.port or API.number}"
    return f"Every host: its own {_ENDPOINTS[spec.endpoint.kind]}, 127.0.0.1:{API.number}"


def _network(spec: ClusterSpec) -> Network:
    network = spec.network
    return Network(
        pods=str(network.pods),
        services=str(network.services),
        host_prefix=network.host_prefix,
        plugin=network.plugin.value,
        api_service=str(network.api_service),
        dns_service=str(network.dns_service),
        domain=network.domain,
    )


def _certificates(folder: Folder) -> tuple[tuple[Certificate, ...], str]:
    """Every certificate of the operator's PKI directory, and what is wrong with that."""
    try:
        pki = pki_dir.load(folder.pki)
        return certificates(pki), ""
    except PkiError as error:
        return (), error.message


def certificates(pki: Pki) -> tuple[Certificate, ...]:
    """CAs first, then by host as they lie there. PkiError for one that cannot be read."""
    found = [_certificate(name, "", describe(pair.cert_pem)) for name, pair in sorted(pki.cas.items())]
    for profile, pair in sorted(pki.pairs.items()):
        host, _, kind = profile.rpartition("/")
        found.append(_certificate(kind, host, describe(pair.cert_pem)))
    return tuple(found)


def _certificate(kind: str, host: str, seen: Description) -> Certificate:
    return Certificate(
        kind=kind, host=host, subject=seen.common_name, issuer=seen.issuer, not_before=seen.not_before, not_after=seen.not_after, is_ca=seen.is_ca
    )
