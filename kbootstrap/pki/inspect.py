"""Certificates read back: what they say, whether key and issuer fit, and why one must be issued anew.

Parsing is remembered by content (a run asks about the same certificate several times), so nothing here keeps state that could go stale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kbootstrap.errors import PkiError
from kbootstrap.model.certificate import State
from kbootstrap.model.cluster import Certificates, KeyType
from kbootstrap.model.pki import KeyPair, Pki, Profile, Usage

USAGE_OIDS: Final = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}
_E = TypeVar("_E", bound=x509.ExtensionType)
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.+?-----END \1-----\r?\n?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a certificate says. *usages* may hold dotted OIDs that are not ours; *serial* and *fingerprint* (sha256 of the DER) are hex."""

    common_name: str
    organizations: frozenset[str]
    issuer: str
    serial: str
    dns_names: frozenset[str]
    ip_addresses: frozenset[IPv4Address | IPv6Address]
    usages: frozenset[str]
    is_ca: bool
    key_type: str  # a KeyType's value, or the name of another kind of key
    not_before: datetime
    not_after: datetime
    fingerprint: str

    def days_left(self, now: datetime) -> float:
        """Days until it expires; negative when it did."""
        return (self.not_after - now) / timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a certificate, in one word and as a sentence's end."""

    state: State
    text: str


@lru_cache(maxsize=8192)
def certificate(cert_pem: bytes) -> x509.Certificate:
    """The first certificate of *cert_pem*. Raises PkiError when there is none that can be read."""
    try:
        return x509.load_pem_x509_certificate(cert_pem)
    except ValueError as error:
        raise PkiError(f"not a readable certificate ({error})") from error


@lru_cache(maxsize=8192)
def describe(cert_pem: bytes) -> Description:
    """Read the first certificate of *cert_pem*. Raises PkiError when there is none that can be read."""
    cert = certificate(cert_pem)
    try:
        extensions = cert.extensions
    except ValueError as error:
        raise PkiError(f"its extensions cannot be read ({error})") from error
    san = _extension(extensions, x509.SubjectAlternativeName)
    eku = _extension(extensions, x509.ExtendedKeyUsage)
    constraints = _extension(extensions, x509.BasicConstraints)
    return Description(
        common_name=_common_name(cert.subject),
        organizations=frozenset(str(a.value) for a in cert.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
        issuer=_common_name(cert.issuer),
        serial=f"{cert.serial_number:x}",
        dns_names=frozenset(san.get_values_for_type(x509.DNSName) if san else ()),
        ip_addresses=frozenset(ip for ip in (san.get_values_for_type(x509.IPAddress) if san else ()) if isinstance(ip, IPv4Address | IPv6Address)),
        usages=frozenset(_usage(oid) for oid in eku or ()),
        is_ca=bool(constraints and constraints.ca),
        key_type=_key_type(cert.public_key()),
        not_before=cert.not_valid_before_utc,
        not_after=cert.not_valid_after_utc,
        fingerprint=fingerprint(cert_pem),
    )


def fingerprint(cert_pem: bytes) -> str:
    """sha256 of the first certificate's DER, hex: the same for the file, the host's copy and what a port really serves."""
    return sha256(certificate(cert_pem).public_bytes(Encoding.DER)).hexdigest()


@lru_cache(maxsize=8192)
def is_signed_by(cert_pem: bytes, ca_pem: bytes) -> bool:
    """Whether *ca_pem* names itself as the issuer of *cert_pem* and its key made the signature."""
    try:
        certificate(cert_pem).verify_directly_issued_by(certificate(ca_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def key_matches(pair: KeyPair) -> bool:
    """Whether the private key belongs to the certificate. Raises PkiError when the key cannot be read, as one under a passphrase."""
    return _public_key(pair.key_pem) == certificate(pair.cert_pem).public_key()


def public_key_matches(key_pem: bytes, pub_pem: bytes) -> bool:
    """Whether *pub_pem* (a public key, PEM) belongs to *key_pem*. Raises PkiError when either cannot be read."""
    try:
        return bool(_public_key(key_pem) == load_pem_public_key(pub_pem))
    except ValueError as error:
        raise PkiError(f"not a readable public key ({error})") from error


@lru_cache(maxsize=8192)
def blocks(pem: bytes) -> tuple[bytes, ...]:
    """Every certificate of *pem* by itself, without any text around. PkiError when one cannot be read, or there is none."""
    try:
        return tuple(cert.public_bytes(Encoding.PEM) for cert in x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise PkiError(f"not a readable certificate ({error})") from error


def behind_leaf(ca_pem: bytes) -> bytes:
    """What a leaf that the chain *ca_pem* signed carries behind it, for verifiers have the root only: all of it but the root."""
    return b"".join(blocks(ca_pem)[:-1])


def ends(ca_pem: bytes) -> datetime:
    """When the first certificate of the chain *ca_pem* expires, and with it all that it signed."""
    return min(describe(pem).not_after for pem in blocks(ca_pem))


def split(pem: bytes) -> KeyPair:
    """The key and the certificates (chain included) of a combined file; what is absent is ``b""``."""
    found = [(match[1], match[0]) for match in _BLOCK.finditer(pem)]
    certificates = b"".join(text for label, text in found if label == b"CERTIFICATE")
    return KeyPair(cert_pem=certificates, key_pem=b"".join(text for label, text in found if label.endswith(b"PRIVATE KEY")))


def reason(pki: Pki, profile: Profile, *, now: datetime, certificates: Certificates) -> str:
    """Why *profile* must be issued (anew), as a sentence; empty when what there is serves."""
    if profile.id not in pki.pairs:
        return "there is none yet"
    ca = pki.cas[profile.issuer]
    found = fault(pki.pairs[profile.id].cert_pem, ca.cert_pem, profile, now=now, certificates=certificates)
    return found.text if found else ""


def fault(
    cert_pem: bytes, ca_pem: bytes, profile: Profile, *, now: datetime, certificates: Certificates, days: int | None = None, chain: bool = True
) -> Fault | None:
    """What is wrong with *cert_pem* where *profile* is wanted and the CA *ca_pem* signs. *days*: what ends within so many is expiring, by
    default what is about to be renewed; *chain*: with what lies behind it. Raises PkiError when it cannot be read."""
    found, ca = describe(cert_pem), describe(ca_pem)
    if not is_signed_by(cert_pem, ca_pem):
        return Fault(state=State.FOREIGN_CA, text=f"signed by {found.issuer}, want {ca.common_name}")
    wrong = _wrong_content(found, profile, certificates.key_type) or _wrong_time(found, ends(ca_pem), now, window(found, certificates, days))
    if wrong is None and chain and b"".join(blocks(cert_pem)[1:]) != behind_leaf(ca_pem):
        return Fault(state=State.WRONG_CHAIN, text="the chain behind it is not its CA's any more")
    return wrong


def window(found: Description, certificates: Certificates, days: int | None = None) -> timedelta:
    """How long before its end *found* is due. A short one (under three windows) in its last third, else one of 20 days would be at every run."""
    usual = min(timedelta(days=certificates.renew_within_days), (found.not_after - found.not_before) / 3)
    return usual if days is None else timedelta(days=days)


def _wrong_content(found: Description, profile: Profile, key_type: KeyType) -> Fault | None:
    wanted: tuple[tuple[State, str, object, object], ...] = (
        (State.WRONG_SUBJECT, "common name", found.common_name, profile.common_name),
        (State.WRONG_SUBJECT, "groups", found.organizations, frozenset(profile.organizations)),
        (State.SAN_MISSING, "DNS names", found.dns_names, frozenset(profile.dns_names)),
        (State.SAN_MISSING, "addresses", found.ip_addresses, frozenset(profile.ip_addresses)),
        (State.WRONG_USAGES, "usages", found.usages, frozenset(str(u) for u in profile.usages)),
        (State.WRONG_USAGES, "CA", found.is_ca, False),
        (State.WRONG_KEY_TYPE, "key type", found.key_type, str(key_type)),
    )
    return next((_differing(*row) for row in wanted if row[2] != row[3]), None)


def _differing(state: State, what: str, has: object, want: object) -> Fault:
    if state is not State.SAN_MISSING or not isinstance(has, frozenset) or not isinstance(want, frozenset):
        return Fault(state=state, text=f"{what} {_show(has)}, want {_show(want)}")
    lacks, beside = want - has, has - want
    parts = ([f"lack {_show(lacks)}"] if lacks else []) + ([f"are not to have {_show(beside)}"] if beside else [])
    return Fault(state=state if lacks else State.SAN_UNWANTED, text=f"its {what} {' and '.join(parts)}")


def _wrong_time(found: Description, ca_not_after: datetime, now: datetime, within: timedelta) -> Fault | None:
    if found.not_before > now:
        return Fault(state=State.NOT_YET_VALID, text=f"not valid before {found.not_before:%Y-%m-%d %H:%M} UTC")
    if found.not_after <= now:
        return Fault(state=State.EXPIRED, text=left(found, now))
    if found.not_after - now >= within or found.not_after >= ca_not_after:
        return None  # the latter ends with its CA: a new one would end on the same day
    return Fault(state=State.EXPIRING, text=left(found, now))


def left(found: Description, now: datetime) -> str:
    """``expires in 12 days``, ``expired 3 days ago``."""
    days = found.days_left(now)
    return f"expires in {days:.0f} days" if days > 0 else f"expired {-days:.0f} days ago"


def _show(value: object) -> str:
    return (" ".join(sorted(str(v) for v in value)) or "none") if isinstance(value, frozenset) else str(value)


def _extension(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _common_name(name: x509.Name) -> str:
    return next((str(a.value) for a in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def _usage(oid: x509.ObjectIdentifier) -> str:
    return next((str(usage) for usage, known in USAGE_OIDS.items() if known == oid), oid.dotted_string)


def _key_type(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return str(KeyType.ECDSA) if isinstance(key.curve, ec.SECP256R1) else f"ecdsa {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return str(KeyType.RSA) if key.key_size >= 3072 else f"rsa {key.key_size}"
    return type(key).__name__


def _public_key(key_pem: bytes) -> object:
    try:
        # Only the public half is compared; proving an RSA key's primes costs 0.1 s each.
        return load_pem_private_key(key_pem, None, unsafe_skip_rsa_key_validation=True).public_key()
    except (ValueError, TypeError) as error:
        raise PkiError(f"not a readable private key ({error})") from error
