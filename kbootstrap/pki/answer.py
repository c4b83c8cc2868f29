"""Certificates that come back from elsewhere: which request each answers, and whether it is what was asked for. Everything is judged, then taken.

A request is found by its public key, so files may have any name and order, and may carry chains. A leaf must be what ``inspect.reason`` wants:
what would be due at the next run is not taken now.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import ExtensionOID

from kbootstrap.errors import PkiError, Problem
from kbootstrap.model.cluster import Certificates
from kbootstrap.model.pki import Issued, KeyPair, Pki, Profile
from kbootstrap.pki import authority, chain, inspect, issue, locked, sign

REASON: Final = "signed elsewhere"
LONGEST_BREAK_GLASS: Final = timedelta(days=1)
_UNDERSTOOD: Final = frozenset(  # by Go, which refuses a certificate with another extension that is critical
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """*pki* has every answer that is good, *taken* says which file answered what (a profile's id, a CA's name); *problems* are for the rest."""

    pki: Pki
    issued: tuple[Issued, ...] = ()
    taken: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


def certificates(content: bytes) -> tuple[bytes, ...]:
    """Every certificate of a file, PEM each: PEM, DER or PKCS #7 (``.p7b``), as CAs hand them out. PkiError when there is none."""
    if b"-----BEGIN CERTIFICATE-----" in content:
        return inspect.blocks(content)
    readers = (pkcs7.load_pem_pkcs7_certificates, lambda text: [x509.load_der_x509_certificate(text)], pkcs7.load_der_pkcs7_certificates)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # openssl itself writes PKCS #7 that is BER and no DER
        for read in readers:
            with suppress(ValueError):
                return tuple(cert.public_bytes(Encoding.PEM) for cert in read(content))
    raise PkiError("holds no certificate (PEM, DER or PKCS #7)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judging:
    """What an answer is measured by. *pool*: every certificate that came along, to complete chains."""

    known: Mapping[str, Profile]
    pool: Sequence[bytes]
    now: datetime
    wanted: Certificates

    def faults(self, pki: Pki, request: str, pem: bytes) -> Iterator[str]:
        """What keeps *pem* from being the answer to *request*, each as the rest of «…, but»."""
        if request in pki.given:
            ca = KeyPair(cert_pem=b"".join(chain.ordered(pem, self.pool)), key_pem=pki.given[request].key_pem)
            yield from (f"it {fault.rstrip('.')}" for fault in authority.faults(pki, request, ca, now=self.now))
        elif request not in self.known:
            yield "the inventory wants no such certificate any more"
        else:
            yield from _leaf_faults(pki, self.known[request], pem, self.now, self.wanted)


def judge(pki: Pki, profiles: Iterable[Profile], files: Mapping[str, bytes], *, now: datetime, wanted: Certificates) -> Judged:
    """What *files* (name → content) answer of the requests of *pki*. A file of CA certificates alone completes chains."""
    parsed, problems = _parsed(files)
    pool = [pem for pems in parsed.values() for pem in pems]
    judging = _Judging(known={profile.id: profile for profile in profiles}, pool=pool, now=now, wanted=wanted)
    requests = _requests(pki)
    taken: dict[str, str] = {}
    records: list[Issued] = []
    after = pki
    for name, pems in parsed.items():
        answers = [(request, pem) for pem in pems if (request := requests.get(_public(inspect.certificate(pem)), ""))]
        if not answers:
            problems += [Problem(where=name, what=fault) for fault in _stray(pki, pems)]
        for request, pem in answers:
            faults = [f"{other} does so, too" for other, its in taken.items() if its == request] or list(judging.faults(after, request, pem))
            problems += [Problem(where=name, what=f"answers the request for {request}, but {fault}.") for fault in faults]
            if not faults:
                taken[name] = request
                after = _with(after, request, pem, pool)
                records += [] if request in pki.given else [sign.record(request, pem, now, REASON)]
    return Judged(pki=after, issued=tuple(records), taken=taken, problems=tuple(problems))


def _parsed(files: Mapping[str, bytes]) -> tuple[dict[str, tuple[bytes, ...]], list[Problem]]:
    parsed: dict[str, tuple[bytes, ...]] = {}
    problems = []
    for name, content in files.items():
        try:
            parsed[name] = certificates(content)
            for pem in parsed[name]:
                inspect.describe(pem)  # its extensions can be read, too
        except PkiError as error:
            parsed.pop(name, None)
            problems.append(Problem(where=name, what=f"{error.message}."))
    return parsed, problems


def _requests(pki: Pki) -> dict[bytes, str]:
    """Public key → who waits for a certificate over it: a profile's id or a CA's name."""
    waiting = {name: ca.key_pem for name, ca in pki.given.items() if not ca.cert_pem} | dict(pki.pending)
    return {_public(locked.open_(key_pem, fresh=True)): name for name, key_pem in waiting.items()}


def _public(owner: x509.Certificate | locked.PrivateKey) -> bytes:
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _stray(pki: Pki, pems: Iterable[bytes]) -> Iterator[str]:
    """What is wrong with a file that answers nothing; nothing, when it holds CAs for chains or what was taken before."""
    there = {inspect.blocks(pair.cert_pem)[0] for pair in (*pki.pairs.values(), *pki.given.values(), *pki.cas.values()) if pair.cert_pem}
    strange = [pem for pem in pems if pem not in there and not inspect.describe(pem).is_ca]
    if strange:
        subject = inspect.certificate(strange[0]).subject.rfc4514_string()
        yield f"holds a certificate for «{subject}» over a public key of which no request is open here."


def _leaf_faults(pki: Pki, profile: Profile, pem: bytes, now: datetime, wanted: Certificates) -> Iterator[str]:
    whole = KeyPair(cert_pem=pem + inspect.behind_leaf(pki.cas[profile.issuer].cert_pem), key_pem=pki.pending[profile.id])
    if why := inspect.reason(replace(pki, pairs={**pki.pairs, profile.id: whole}), profile, now=now, certificates=wanted):
        yield f"it is {why}" if why.startswith(("signed", "not ")) else why
    found = inspect.certificate(pem)
    for extension in found.extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            yield "its key usage lacks digitalSignature"
        if extension.critical and extension.oid not in _UNDERSTOOD:
            yield f"its extension {extension.oid.dotted_string} is critical, and Kubernetes does not know it"
    life = found.not_valid_after_utc - found.not_valid_before_utc
    if profile == issue.BOOTSTRAP and life > LONGEST_BREAK_GLASS + sign.BACKDATED:
        yield f"it is valid for {life.days} days; one in {issue.BREAK_GLASS_GROUP}, which no RBAC can stop, is taken for one day at most"


def _with(pki: Pki, request: str, pem: bytes, pool: Iterable[bytes]) -> Pki:
    """*pki* with the answer in place of the request."""
    if request in pki.given:
        found = KeyPair(cert_pem=b"".join(chain.ordered(pem, pool)), key_pem=pki.given[request].key_pem)
        return replace(pki, given={**pki.given, request: found})
    issuer = next(ca.cert_pem for ca in pki.cas.values() if inspect.is_signed_by(pem, ca.cert_pem))
    pair = KeyPair(cert_pem=pem + inspect.behind_leaf(issuer), key_pem=pki.pending[request])
    pending = {name: key for name, key in pki.pending.items() if name != request}
    return replace(pki, pairs={**pki.pairs, request: pair}, pending=pending)
