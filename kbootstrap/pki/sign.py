"""One certificate at a time: a CA that signs itself, a leaf that a CA signs. ``issue`` decides which.

NotBefore lies an hour back, for hosts' clocks differ; a leaf never outlives its CA; a CA has path length 0, so a stolen leaf signs nothing.
ECDSA signatures are deterministic (RFC 6979): the same arguments give the same bytes, and no bad random number can betray a CA's key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import KeyType
from kbootstrap.model.pki import Entropy, Issued, KeyPair, Profile
from kbootstrap.pki import inspect

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
BACKDATED: Final = timedelta(hours=1)
SERIAL_BYTES: Final = 20  # the most that RFC 5280 allows


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A CA with its key at hand."""

    cert: x509.Certificate
    key: PrivateKey

    def sign(self, profile: Profile, *, now: datetime, life: timedelta, kind: KeyType, entropy: Entropy, reason: str) -> tuple[KeyPair, Issued]:
        """A new key and a certificate over it, as *profile* says."""
        key_pem = entropy.key(kind)
        key = private_key(key_pem, fresh=True)
        builder = _common(_subject(profile.common_name, profile.organizations), key, entropy, now)
        builder = builder.issuer_name(self.cert.subject).not_valid_after(min(now + life, self.cert.not_valid_after_utc))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        # RSA key exchange (TLS 1.2 without forward secrecy) needs keyEncipherment; for ECDSA keys the bit has no meaning.
        builder = builder.add_extension(_key_usage(digital_signature=True, key_encipherment=kind is KeyType.RSA), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([inspect.USAGE_OIDS[u] for u in profile.usages]), critical=False)
        if profile.dns_names or profile.ip_addresses:
            sans: list[x509.GeneralName] = [x509.DNSName(name) for name in profile.dns_names]
            sans += [x509.IPAddress(address) for address in profile.ip_addresses]
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        ski = self.cert.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        cert = _signed(builder, self.key)
        return KeyPair(cert_pem=_pem(cert), key_pem=key_pem), _record(profile.id, cert, now, reason)


def signer(ca: KeyPair) -> Signer:
    """*ca* made ready to sign. Raises PkiError when its key cannot be read."""
    return Signer(cert=inspect.certificate(ca.cert_pem), key=private_key(ca.key_pem))


def new_ca(
    name: str, *, now: datetime, life: timedelta, kind: KeyType, entropy: Entropy, reason: str = "the cluster is new"
) -> tuple[KeyPair, Issued]:
    """A CA that signs itself. Part of its serial stands in its name: no two CAs ever share a subject, which path building by name relies on."""
    key_pem = entropy.key(kind)
    key = private_key(key_pem, fresh=True)
    title = "kubernetes-ca" if name == names.CLUSTER_CA else name
    subject = _subject(f"{title} {entropy.random(4).hex()}", ())
    builder = _common(subject, key, entropy, now).issuer_name(subject).not_valid_after(now + life)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    cert = _signed(builder.add_extension(aki, critical=False), key)
    return KeyPair(cert_pem=_pem(cert), key_pem=key_pem), _record(name, cert, now, reason)


def token_keys(key_pem: bytes) -> KeyPair:
    """The pair of keys for service-account tokens that *key_pem* makes."""
    public = private_key(key_pem, fresh=True).public_key()
    return KeyPair(cert_pem=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), key_pem=key_pem)


def private_key(key_pem: bytes, *, fresh: bool = False) -> PrivateKey:
    """A private key that can sign; a *fresh* one was made just now, so an RSA key's primes are not proven again (0.1 s each).

    Raises PkiError when it cannot be read, or is of another kind.
    """
    try:
        key = load_pem_private_key(key_pem, None, unsafe_skip_rsa_key_validation=fresh)
    except (ValueError, TypeError) as error:
        raise PkiError(f"not a readable private key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(f"a private key of the kind {type(key).__name__} cannot sign here, want ECDSA or RSA")
    return key


def _common(subject: x509.Name, key: PrivateKey, entropy: Entropy, now: datetime) -> x509.CertificateBuilder:
    serial = int.from_bytes(entropy.random(SERIAL_BYTES)) >> 1  # the top bit is the sign
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, SHA256(), ecdsa_deterministic=True if isinstance(key, ec.EllipticCurvePrivateKey) else None)


def _subject(common_name: str, organizations: tuple[str, ...]) -> x509.Name:
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


def _record(profile_id: str, cert: x509.Certificate, now: datetime, reason: str) -> Issued:
    found = inspect.describe(_pem(cert))
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
