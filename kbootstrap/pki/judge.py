"""What is right for a cluster's certificates, and what is wrong with one that was found somewhere: on a disk, in a kubeconfig, at a port.

A certificate that is the operator's own is as good as that one; another is judged by what it says, and where it says nothing wrong it still differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kbootstrap.errors import PkiError
from kbootstrap.model.certificate import State
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki, Profile, root
from kbootstrap.pki import inspect, keys
from kbootstrap.pki.inspect import Fault, describe, fingerprint

GOOD: Final = Fault(state=State.OK, text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is right, and when it is asked. *days*: what ends within so many is expiring; None: what is about to be renewed."""

    spec: ClusterSpec
    pki: Pki
    profiles: Mapping[str, Profile]  # by id
    now: datetime
    days: int | None = None

    def of(self, host: str, name: str) -> Profile:
        """The profile called *name* of *host*, or the cluster's."""
        return self.profiles.get(f"{host}/{name}") or self.profiles[name]

    def fault(self, profile: Profile, pem: bytes, *, chain: bool = True) -> Fault:
        """What is wrong with *pem* by itself where *profile* is wanted. Raises PkiError when it cannot be read."""
        ca_pem = self.pki.cas[profile.issuer].cert_pem
        found = inspect.fault(pem, ca_pem, profile, now=self.now, certificates=self.spec.certificates, days=self.days, chain=chain)
        if found is not None and found.state is State.FOREIGN_CA and any(inspect.is_signed_by(pem, other) for other in self.others(profile.issuer)):
            return Fault(state=State.FORMER_CA, text=f"signed by {describe(pem).issuer}, a CA of this cluster that is not the signing one")
        return found or GOOD

    def others(self, ca: str) -> list[bytes]:
        """The chains of *ca*'s successor and predecessors: not foreign, and not the one that signs."""
        found = [self.pki.upcoming[ca].cert_pem] if ca in self.pki.upcoming else []
        return found + [past[ca] for past in (self.pki.former, self.pki.retired) if ca in past]


def complete(pki: Pki, profiles: Iterable[Profile]) -> Pki:
    """*pki* with an empty pair where there is none: what is missing there is missing, and no reason not to look at the rest."""
    return replace(pki, pairs={**{p.id: KeyPair(cert_pem=b"") for p in profiles}, **pki.pairs})


def judged(wanted: Wanted, profile: Profile, pem: bytes, *, chain: bool = True) -> Fault:
    """*pem* as it is found outside of the operator's PKI: is it good, and is it the operator's? *chain*: with what lies behind it."""
    try:
        found, ours = wanted.fault(profile, pem, chain=chain), wanted.pki.pairs.get(profile.id)
    except PkiError as error:
        return Fault(state=State.UNREADABLE, text=error.message)
    if ours is not None and same(ours.cert_pem, pem):
        return found
    if found.state not in (State.OK, State.EXPIRING, State.FORMER_CA):
        return found
    until = f"it ends on {describe(pem).not_after:%Y-%m-%d}"
    theirs = f"the operator's on {describe(ours.cert_pem).not_after:%Y-%m-%d}" if ours else "the operator's PKI has none"
    return Fault(state=State.DIFFERS, text=f"another one than the operator's: {until}, {theirs}")


def authority(wanted: Wanted, chain: bytes) -> Fault:
    """Whether the CA with *chain* ends soon: the first of it counts."""
    first = min((describe(pem) for pem in inspect.blocks(chain)), key=lambda each: each.not_after)
    if first.not_after <= wanted.now:
        return Fault(state=State.EXPIRED, text=inspect.left(first, wanted.now))
    if first.not_after - wanted.now < inspect.window(first, wanted.spec.certificates, wanted.days):
        return Fault(state=State.EXPIRING, text=inspect.left(first, wanted.now))
    return GOOD


def bundle(wanted: Wanted, ca: str, pem: bytes) -> Fault:
    """What a host trusts as *ca*: exactly the operator's roots; those of another phase of a rotation differ, all others are foreign."""
    try:
        found = {fingerprint(each): each for each in inspect.blocks(pem)}
    except PkiError as error:
        return Fault(state=State.UNREADABLE, text=error.message)
    right = {fingerprint(each) for each in inspect.blocks(wanted.pki.trust(ca))}
    known = right | {fingerprint(root(chain)) for chain in wanted.others(ca)}
    foreign = [describe(each).common_name for one, each in found.items() if one not in known]
    if foreign:
        return Fault(state=State.FOREIGN_CA, text=f"trusts {', '.join(foreign)}, which is none of this cluster's")
    if lacking := len(right - set(found)):
        return Fault(state=State.DIFFERS, text=f"lacks {lacking} of {len(right)} roots")
    return GOOD if set(found) == right else Fault(state=State.DIFFERS, text="still trusts a root that was retired")


def same(one: bytes, other: bytes) -> bool:
    """Whether both are the same certificate; False for what is none."""
    try:
        return fingerprint(one) == fingerprint(other)
    except PkiError:
        return False


def token_keys(wanted: Wanted, pem: bytes) -> Fault:
    """What a host verifies tokens by: exactly the operator's public keys."""
    try:
        found, right = keys.every(pem), keys.every(wanted.pki.sa_trust)
    except PkiError as error:
        return Fault(state=State.UNREADABLE, text=error.message)
    if not found:
        return Fault(state=State.UNREADABLE, text="holds no public key")
    if found == right:
        return GOOD
    if found - known_token_keys(wanted):
        return Fault(state=State.FOREIGN_CA, text="verifies tokens by a key that is none of this cluster's")
    return Fault(state=State.DIFFERS, text="does not hold the operator's public keys")


def known_token_keys(wanted: Wanted) -> frozenset[bytes]:
    """The operator's public keys of tokens, of every phase of a rotation."""
    return keys.every(b"".join([wanted.pki.sa_trust, *wanted.others(SERVICE_ACCOUNT)]))
