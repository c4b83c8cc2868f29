"""Randomness of the operating system, for keys, serials, the encryption key and the markers between framed outputs."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kbootstrap.model.cluster import KeyType


def marker() -> str:
    """A word that no program's output holds by chance or by design: 16 hexadecimal digits, made anew for each stream."""
    return secrets.token_hex(8)


class SystemEntropy:
    """``model.pki.Entropy`` as it is meant."""

    def key(self, kind: KeyType) -> bytes:
        """A new private key, PKCS #8 PEM: ECDSA P-256, or RSA 3072 (as strong, and forty times slower to sign)."""
        key = rsa.generate_private_key(65537, 3072) if kind is KeyType.RSA else ec.generate_private_key(ec.SECP256R1())
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def random(self, size: int) -> bytes:
        """*size* random bytes."""
        return secrets.token_bytes(size)
