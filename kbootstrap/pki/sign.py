"""One certificate at a time: a CA that signs itself, a leaf that a CA signs. ``issue`` decides which.

NotBefore lies an hour back, for hosts' clocks differ; a leaf never outlives its CA; a CA has path length 0, so a stolen leaf signs nothing.
ECDSA signatures are deterministic (RFC 6979): the same arguments give the same bytes, and no bad random number can betray a CA's key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import KeyType
from kbootstrap.model.pki import Entropy, Issued, KeyPair, Profile
from kbootstrap.pki import inspect, locked

BACKDATED: Final = timedelta(hours=1)
SERIAL_BYTES: Final = 20  # the most that RFC 5280 allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A CA with its key at hand. *behind*: what its leaves carry behind them, PEM; *end*: when the first of its chain expires."""

    cert: x509.Certificate
    key: locked.PrivateKey
    behind: bytes
    end: datetime

    def sign(self, profile: Profile, *, now: datetime, life: timedelta, kind: KeyType, entropy: Entropy, reason: str) -> tuple[KeyPair, Issued]:
        """A new key and a certificate over it, as *profile* says."""
        key_pem = entropy.key(kind)
        key = locked.open_(key_pem, fresh=True)
        builder = _common(subject(profile.common_name, profile.organizations), key, entropy, now)
        builder = builder.issuer_name(self.cert.subject).not_valid_after(min(now + life, self.end))
        for extension, critical in leaf_extensions(profile, kind):
            builder = builder.add_extension(extension, critical=critical)
        cert = _signed(builder.add_extension(self._authority(), critical=False), self.key)
        return KeyPair(cert_pem=_pem(cert) + self.behind, key_pem=key_pem), record(profile.id, _pem(cert), now, reason)

    def _authority(self) -> x509.AuthorityKeyIdentifier:
        """The CA's own key identifier, as it stands in its certificate: one that the user brought may have computed it in any way, or have none."""
        own = [e.value for e in self.cert.extensions if isinstance(e.value, x509.SubjectKeyIdentifier)]
        if not own:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own[0])


def leaf_extensions(profile: Profile, kind: KeyType) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """What *profile* asks for, as extensions of a certificate or a request, each with whether it is critical."""
    yield x509.BasicConstraints(ca=False, path_length=None), True
    # RSA key exchange (TLS 1.2 without forward secrecy) needs keyEncipherment; for ECDSA keys the bit has no meaning.
    yield _key_usage(digital_signature=True, key_encipherment=kind is KeyType.RSA), True
    yield x509.ExtendedKeyUsage([inspect.USAGE_OIDS[u] for u in profile.usages]), False
    if profile.dns_names or profile.ip_addresses:
        sans: list[x509.GeneralName] = [x509.DNSName(name) for name in profile.dns_names]
        sans += [x509.IPAddress(address) for address in profile.ip_addresses]
        yield x509.SubjectAlternativeName(sans), False


def ca_extensions() -> Iterator[tuple[x509.ExtensionType, bool]]:
    """What a CA of a cluster carries: it signs leaves and nothing else."""
    yield x509.BasicConstraints(ca=True, path_length=0), True
    yield _key_usage(key_cert_sign=True, crl_sign=True), True


def signer(ca: KeyPair, passphrase: Callable[[], bytes] | None = None) -> Signer:
    """*ca* made ready to sign; *passphrase* is asked when its key is locked. Raises PkiError when the key cannot be read, or is another's."""
    is_locked = locked.is_locked(ca.key_pem)
    key = locked.open_(ca.key_pem, passphrase() if is_locked and passphrase is not None else None)
    if is_locked and key.public_key() != inspect.certificate(ca.cert_pem).public_key():
        raise PkiError("it does not belong to the CA's certificate")
    return Signer(cert=inspect.certificate(ca.cert_pem), key=key, behind=inspect.behind_leaf(ca.cert_pem), end=inspect.ends(ca.cert_pem))


def new_ca(
    name: str, *, now: datetime, life: timedelta, kind: KeyType, entropy: Entropy, reason: str = "the cluster is new"
) -> tuple[KeyPair, Issued]:
    """A CA that signs itself. Part of its serial stands in its name: no two CAs ever share a subject, which path building by name relies on."""
    key_pem = entropy.key(kind)
    key = locked.open_(key_pem, fresh=True)
    own = ca_subject(name, entropy.random(4))
    builder = _common(own, key, entropy, now).issuer_name(own).not_valid_after(now + life)
    for extension, critical in ca_extensions():
        builder = builder.add_extension(extension, critical=critical)
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    cert = _signed(builder.add_extension(aki, critical=False), key)
    return KeyPair(cert_pem=_pem(cert), key_pem=key_pem), record(name, _pem(cert), now, reason)


def ca_subject(name: str, mark: bytes) -> x509.Name:
    """The subject of the CA called *name*; *mark* makes it another than that of every other CA."""
    return subject(f"{'kubernetes-ca' if name == names.CLUSTER_CA else name} {mark.hex()}", ())


def token_keys(key_pem: bytes) -> KeyPair:
    """The pair of keys for service-account tokens that *key_pem* makes."""
    public = locked.open_(key_pem, fresh=True).public_key()
    return KeyPair(cert_pem=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), key_pem=key_pem)


def _common(name: x509.Name, key: locked.PrivateKey, entropy: Entropy, now: datetime) -> x509.CertificateBuilder:
    serial = int.from_bytes(entropy.random(SERIAL_BYTES)) >> 1  # the top bit is the sign
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: locked.PrivateKey) -> x509.Certificate:
    return builder.sign(key, SHA256(), ecdsa_deterministic=True if isinstance(key, ec.EllipticCurvePrivateKey) else None)


def subject(common_name: str, organizations: tuple[str, ...]) -> x509.Name:
    """The name that Kubernetes reads a user and groups from."""
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(Encoding.PEM)


def record(profile_id: str, cert_pem: bytes, now: datetime, reason: str) -> Issued:
    """The ledger's line about a certificate."""
    found = inspect.describe(cert_pem)
    return Issued(
        id=profile_id,
        serial=found.serial,
        issuer=found.issuer,
        subject=found.common_name,
        groups=tuple(sorted(found.organizations)),
        when=now,
        not_after=found.not_after,
        reason=reason,
    )
