"""CAs that the user brings: an intermediate with its chain, with its key or without, for a cluster that has not begun.

The three CAs must not meet in one root: hosts trust roots, etcd lets in whomever its root vouches for, and the API server believes a front proxy
whatever user it names. One root over two of them would make every kubelet's certificate a key to all data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError, Problem, UsageError
from kbootstrap.model.certificate import AUTHORITIES, rotation
from kbootstrap.model.pki import KeyPair, Pki, root
from kbootstrap.pki import chain, inspect, locked
from kbootstrap.pki.profiles import CAS

_SHORT: Final = {short: name for short, name in AUTHORITIES.items() if name in CAS}
_ALIASES: Final = {**_SHORT, "cluster-ca": names.CLUSTER_CA}


def named(text: str) -> str:
    """The name of the CA that the user calls *text*. UsageError for one that no cluster has."""
    name = _ALIASES.get(text, text)
    if name not in CAS:
        raise UsageError(f"no CA is called {text}", hint=f"There are {', '.join(_SHORT)}.")
    return name


def refuse_another(pki: Pki, name: str) -> None:
    """PkiError unless the user may give the CA called *name*: only a cluster that has not begun has a free choice."""
    if not pki.is_empty:
        hint = f"`{rotation(name)}` goes over to another."
        raise PkiError(f"this cluster has its CA {name}; no other is taken in its place", hint=hint)
    if name in pki.given and pki.given[name].cert_pem:
        raise PkiError(f"a CA {name} was given before", hint="Remove its files (ca/*.given.*) in the PKI directory to take another.")


def give(pki: Pki, name: str, pems: tuple[bytes, ...], key_pem: bytes, *, now: datetime, passphrase: Callable[[], bytes]) -> Pki:
    """*pki* with the CA called *name* of the user's: *pems* are its certificate and its chain in any order, *key_pem* may be empty.

    *passphrase* is asked when the key is locked; it stays locked. PkiError names everything that is wrong with it.
    """
    refuse_another(pki, name)
    ca = KeyPair(cert_pem=b"".join(chain.ordered(_lowest(pems), pems)), key_pem=key_pem or pki.given.get(name, KeyPair(cert_pem=b"")).key_pem)
    key = locked.open_(ca.key_pem, passphrase() if locked.is_locked(ca.key_pem) else None) if ca.key_pem else None
    problems = [Problem(where=name, what=fault) for fault in faults(pki, name, ca, now=now)]
    if key is not None and key.public_key() != inspect.certificate(ca.cert_pem).public_key():
        other = "key given with it" if key_pem else "key of the open request (ca/*.given.key)"
        problems.append(Problem(where=name, what=f"«{inspect.describe(ca.cert_pem).common_name}» does not belong to the {other}."))
    if problems:
        raise PkiError(f"the CA {name} is not taken: {problems[0].what.rstrip('.')}", problems=problems)
    if key is not None and not locked.is_locked(ca.key_pem):
        ca = replace(ca, key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return replace(pki, given={**pki.given, name: ca})


def faults(pki: Pki, name: str, ca: KeyPair, *, now: datetime) -> Iterator[str]:
    """What keeps *ca* from being the CA called *name* of *pki*, each as the rest of a sentence about its file."""
    yield from chain.faults(ca.cert_pem, now=now)
    for other, its in {**pki.cas, **pki.given}.items():
        if other != name and its.cert_pem and root(its.cert_pem) == root(ca.cert_pem):
            title = inspect.describe(root(ca.cert_pem)).common_name
            yield f"leads to the root «{title}», as the CA {other} does: whoever has a certificate of one would be let in by the other."


def warnings(name: str, ca_pem: bytes) -> Iterator[str]:
    """What the user must know who gives this CA."""
    certs = inspect.blocks(ca_pem)
    if len(certs) == 1:
        return
    title = inspect.describe(certs[-1]).common_name
    meaning = {
        names.CLUSTER_CA: "is a user of this cluster, by its common name and organizations (system:masters is administrator)",
        names.ETCD_CA: "reads and writes all data in etcd",
        names.FRONT_PROXY_CA: "with the name front-proxy-client acts as any user",
    }
    yield f"Hosts trust the root «{title}»: whoever gets a client certificate from any CA below it {meaning[name]}."


def _lowest(pems: tuple[bytes, ...]) -> bytes:
    """The certificate that signed none of the others."""
    return next((pem for pem in pems if not any(inspect.is_signed_by(other, pem) for other in pems if other != pem)), pems[0])
