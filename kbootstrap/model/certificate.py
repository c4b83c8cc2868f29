"""What a certificate is found to be at one of its places: the operator's PKI, a host's disk, a port, a running unit."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kbootstrap.catalog import names
from kbootstrap.model.pki import SERVICE_ACCOUNT

AUTHORITIES: Final = {
    "cluster": names.CLUSTER_CA,
    "etcd": names.ETCD_CA,
    "front-proxy": names.FRONT_PROXY_CA,
    "service-account": SERVICE_ACCOUNT,
}
"""What can be rotated, as ``certs.rotate --ca`` calls it → its name in the PKI."""
_KINDS: Final = {name: kind for kind, name in AUTHORITIES.items()}


def rotation(name: str) -> str:
    """The command that replaces the CA called *name*."""
    return f"invoke certs.rotate --ca {_KINDS[name]}"


class State(StrEnum):
    """One word for each way in which a certificate can be wrong; ``certs.check`` shows it, ``--json`` carries it."""

    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    FOREIGN_CA = "foreign-ca"  # signed by, or trusting, an authority that is none of this cluster's
    FORMER_CA = "former-ca"  # of this cluster, and being replaced: a rotation is not at its end
    WRONG_CHAIN = "wrong-chain"  # what stands between it and the root is not its CA's
    WRONG_SUBJECT = "wrong-subject"
    SAN_MISSING = "san-missing"
    SAN_UNWANTED = "san-unwanted"
    WRONG_USAGES = "wrong-usages"
    WRONG_KEY_TYPE = "wrong-key-type"
    KEY_MISMATCH = "key-mismatch"
    NOT_ISSUED = "not-issued"  # the operator's PKI has none
    MISSING = "missing-on-host"
    DIFFERS = "differs-on-host"  # good in itself, and not the operator's
    UNREADABLE = "unreadable"
    PERMISSIONS = "wrong-permissions"
    NOT_RESTARTED = "renewed-not-restarted"
    NOT_SERVED = "not-served"
    UNREACHABLE = "unreachable"  # a host of which nothing is known


HARMLESS: Final = frozenset({State.OK, State.EXPIRING, State.UNREACHABLE})
"""What proves nothing wrong: fine, still fine, and not known."""
