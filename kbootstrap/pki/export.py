"""A certificate for other programs: PKCS #12 for a browser, one PEM text for everything else."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from kbootstrap.errors import UsageError
from kbootstrap.model.pki import KeyPair
from kbootstrap.pki import inspect, locked


def pem(pair: KeyPair, trust: bytes) -> bytes:
    """The key, its certificate with what lies behind it, and the root that *trust* is. Without a key: certificates alone."""
    return b"".join(dict.fromkeys([pair.key_pem, *inspect.blocks(pair.cert_pem), *inspect.blocks(trust)]))


def p12(name: str, pair: KeyPair, trust: bytes, passphrase: bytes) -> bytes:
    """The same under *passphrase* (AES-256, PBKDF2 with SHA-256), shown as *name* where it is imported. UsageError without a key or a passphrase."""
    if not pair.key_pem:
        raise UsageError(f"{name} has no private key here: PKCS #12 would be of no use", hint="Say --format pem for its certificate.")
    if not passphrase:
        raise UsageError("PKCS #12 needs a passphrase: it holds the private key", hint="The program that imports the file asks for it.")
    first, *rest = dict.fromkeys([*inspect.blocks(pair.cert_pem), *inspect.blocks(trust)])
    others = [inspect.certificate(each) for each in rest]
    key = locked.open_(pair.key_pem)
    return pkcs12.serialize_key_and_certificates(name.encode(), key, inspect.certificate(first), others, BestAvailableEncryption(passphrase))
