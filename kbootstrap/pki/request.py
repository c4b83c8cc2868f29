"""Requests for certificates that are signed elsewhere (PKCS #10): what a profile asks for, exactly, over a key that stays here.

A key is kept among ``Pki.pending`` (a CA's among ``Pki.given``) until its certificate comes back; asking again gives the same request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kbootstrap.model.cluster import KeyType
from kbootstrap.model.pki import Entropy, KeyPair, Pki, Profile
from kbootstrap.pki import authority, locked, sign


def for_leaves(pki: Pki, profiles: Iterable[Profile], *, kind: KeyType, entropy: Entropy) -> tuple[Pki, Mapping[str, bytes]]:
    """*pki* with a pending key for each of *profiles*, and their requests: profile id → PEM."""
    pending, found = dict(pki.pending), {}
    for profile in profiles:
        key_pem = pending.setdefault(profile.id, b"") or entropy.key(kind)
        pending[profile.id] = key_pem
        subject = sign.subject(profile.common_name, profile.organizations)
        found[profile.id] = _request(subject, locked.open_(key_pem, fresh=True), sign.leaf_extensions(profile, kind))
    return replace(pki, pending=pending), found


def for_ca(pki: Pki, name: str, *, kind: KeyType, entropy: Entropy) -> tuple[Pki, bytes]:
    """*pki* with a key for the CA called *name*, which shall be an intermediate CA of the user's, and the request for it, PEM.

    PkiError when there is such a CA already.
    """
    authority.refuse_another(pki, name)
    key_pem = pki.given.get(name, KeyPair(cert_pem=b"")).key_pem or entropy.key(kind)
    key = locked.open_(key_pem, fresh=True)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    request = _request(sign.ca_subject(name, sha256(public).digest()[:4]), key, sign.ca_extensions())
    return replace(pki, given={**pki.given, name: KeyPair(cert_pem=b"", key_pem=key_pem)}), request


def _request(subject: x509.Name, key: locked.PrivateKey, extensions: Iterator[tuple[x509.ExtensionType, bool]]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    made = builder.sign(key, SHA256(), ecdsa_deterministic=True if isinstance(key, ec.EllipticCurvePrivateKey) else None)
    return made.public_bytes(Encoding.PEM)
