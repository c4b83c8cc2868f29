"""The rotation of a CA, or of the key of service-account tokens, as three changes of a PKI: ``begin``, ``promote``, ``drop``.

Between two of them every host must have got what the PKI says then, and serve: first all trust both, then the new one signs, then the old one
is trusted no more. How far a rotation is can be read from the PKI alone (``phase``), so whatever was interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import permutations
from typing import Final, TypeVar

from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import Certificates
from kbootstrap.model.pki import SERVICE_ACCOUNT, Entropy, Issued, KeyPair, Pki, root
from kbootstrap.pki import locked
from kbootstrap.pki.issue import CA_KEYS
from kbootstrap.pki.profiles import CAS
from kbootstrap.pki.sign import new_ca, token_keys

NAMES: Final = (*CAS, SERVICE_ACCOUNT)
_REASON: Final = "the CA is rotated"
_T = TypeVar("_T")


class Phase(StrEnum):
    """How far the rotation of one CA is."""

    IDLE = "idle"
    TRUST = "trust"  # both are trusted, the old one signs
    REISSUE = "reissue"  # both are trusted, the new one signs


def phase(pki: Pki, name: str) -> Phase:
    """Where the rotation of *name* (of NAMES) stands."""
    if name in pki.upcoming:
        return Phase.TRUST
    return Phase.REISSUE if name in pki.former else Phase.IDLE


def begin(
    pki: Pki, name: str, *, now: datetime, certificates: Certificates, entropy: Entropy, successor: KeyPair | None = None
) -> tuple[Pki, tuple[Issued, ...]]:
    """*pki* with a successor for *name*, trusted and not signing yet: a new one, or the *successor* that the user brings.

    PkiError while the last rotation is still under way.
    """
    _require(pki, name, Phase.IDLE)
    issued: tuple[Issued, ...] = ()
    if successor is None and name == SERVICE_ACCOUNT:
        successor = token_keys(entropy.key(certificates.key_type))
    elif successor is None:
        life = timedelta(days=certificates.ca_days)
        made = new_ca(name, now=now.replace(microsecond=0), life=life, kind=certificates.key_type, entropy=entropy, reason=_REASON)
        successor, issued = _locked_alike(pki, name, made[0], entropy), (made[1],)
    return replace(pki, upcoming={**pki.upcoming, name: successor}), issued


def _locked_alike(pki: Pki, name: str, successor: KeyPair, entropy: Entropy) -> KeyPair:
    """*successor* under the passphrase that the CA called *name* has; it opens that one first, so that a slip of the finger locks nobody out."""
    if not locked.is_locked(pki.cas[name].key_pem):
        return successor
    passphrase = pki.unlock(CA_KEYS)
    locked.open_(pki.cas[name].key_pem, passphrase)
    return replace(successor, key_pem=locked.lock(successor.key_pem, passphrase, entropy))


def promote(pki: Pki, name: str) -> Pki:
    """*pki* in which the successor signs; what the old one signed is due (``issue.complete``), and good meanwhile. The old key is gone."""
    _require(pki, name, Phase.TRUST)
    new, upcoming = pki.upcoming[name], _without(pki.upcoming, name)
    if name == SERVICE_ACCOUNT:
        return replace(pki, sa_key=new.key_pem, sa_pub=new.cert_pem, upcoming=upcoming, former={**pki.former, name: pki.sa_pub})
    return replace(pki, cas={**pki.cas, name: new}, upcoming=upcoming, former={**pki.former, name: pki.cas[name].cert_pem})


def drop(pki: Pki, name: str) -> Pki:
    """*pki* that trusts the old one no more. Only once nothing of it is in use: what it signed is refused from then on."""
    _require(pki, name, Phase.REISSUE)
    return replace(pki, former=_without(pki.former, name), retired={**pki.retired, name: pki.former[name]})


def undropped(pki: Pki, name: str) -> Pki | None:
    """*pki* as it was right before its last ``drop`` of *name*; None where that was never, or another rotation has begun since."""
    if phase(pki, name) is not Phase.IDLE or name not in pki.retired:
        return None
    return replace(pki, former={**pki.former, name: pki.retired[name]})


def recognised(pki: Pki, name: str) -> frozenset[bytes]:
    """Every text that a host may hold as the trust of the CA called *name* in any phase of its last rotation; anything else is foreign."""
    others = [ca.cert_pem for ca in (pki.upcoming.get(name),) if ca]
    others += [text for text in (pki.former.get(name), pki.retired.get(name)) if text]
    roots = dict.fromkeys(root(chain) for chain in (pki.cas[name].cert_pem, *others))
    return frozenset([*roots, *(one + other for one, other in permutations(roots, 2))])


def _require(pki: Pki, name: str, wanted: Phase) -> None:
    if (found := phase(pki, name)) is not wanted:
        raise PkiError(f"the rotation of {name} is in the phase {found}, not {wanted}", hint="`invoke certs.rotate` goes on where it stopped.")


def _without(table: Mapping[str, _T], name: str) -> dict[str, _T]:
    return {key: value for key, value in table.items() if key != name}
