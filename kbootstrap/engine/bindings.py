"""The first RBAC bindings: made by a credential in ``system:masters``, which nobody keeps.

It lives ten minutes where the cluster CA's key is at hand. Where that is elsewhere, so was the credential signed (``certs.csr --name
bootstrap-admin``); once it has served it is removed from the PKI directory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kbootstrap.catalog import names
from kbootstrap.engine import cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import PkiError
from kbootstrap.model.host import Host
from kbootstrap.model.plan import CLUSTER, Change, Plan
from kbootstrap.pki import issue
from kbootstrap.remote.connection import Connection
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy

_HOW = (
    "Have one signed where that key is, for a day at most: invoke certs.csr --name bootstrap-admin, then invoke certs.install FILE, "
    "then this command while it is valid."
)


def needed(prepared: Prepared, changes: Iterable[Change]) -> bool:
    """Whether *changes* touch what only that credential may write."""
    bindings = {binding.name for binding in prepared.desired.bootstrap}
    return any(change.resource is not None and change.resource.name in bindings for change in changes)


def require(prepared: Prepared, plan: Plan) -> None:
    """PkiError, before anything is changed on any host, when *plan* needs the credential and it cannot be had. A locked key is opened now."""
    changes = [c for stage in plan.stages for host in stage.hosts if host.host == CLUSTER for c in host.changes]
    if needed(prepared, changes) and (why := issue.unable_to_bind(prepared.pki, clock.now())):
        raise PkiError(f"the first bindings need a credential of the cluster CA, and {why}", hint=_HOW)


def make(prepared: Prepared, connection: Connection, leader: Host) -> None:
    """Write them through *leader*; the credential touches only memory there."""
    pair = issue.supplied_admin(prepared.pki, clock.now())
    if pair is None:
        pair, issued = issue.bootstrap_admin(prepared.pki, now=clock.now(), entropy=SystemEntropy())
        pki_dir.record(prepared.folder.pki, (issued,))
    ca_pem = prepared.pki.trust(names.CLUSTER_CA)
    cluster.bootstrap(connection, leader, cluster=prepared.spec.name, ca_pem=ca_pem, pair=pair, bindings=prepared.desired.bootstrap)
    before = pki_dir.load(prepared.folder.pki)
    if issue.BOOTSTRAP.id in before.pairs:
        left = {name: each for name, each in before.pairs.items() if name != issue.BOOTSTRAP.id}
        pki_dir.replace(prepared.folder.pki, before, replace(before, pairs=left), ())
