"""Public keys, however they are written: what a certificate, a key file and a host's own tools say of one key is compared as one value."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key, load_ssh_public_key

from kbootstrap.errors import PkiError
from kbootstrap.pki.inspect import certificate

_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


@lru_cache(maxsize=8192)
def of_certificate(cert_pem: bytes) -> bytes:
    """The key that the first certificate of *cert_pem* is over. Public keys are SubjectPublicKeyInfo, DER, wherever this module gives one."""
    return _der(certificate(cert_pem).public_key())


@lru_cache(maxsize=8192)
def written(text: bytes) -> bytes:
    """The key that *text* is: PEM, or a line as ``ssh-keygen -y`` prints it. PkiError for anything else."""
    try:
        return _der(load_ssh_public_key(text) if text.startswith((b"ecdsa-", b"ssh-")) else load_pem_public_key(text))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PkiError(f"not a readable public key ({error})") from error


def every(pem: bytes) -> frozenset[bytes]:
    """All keys of a file of public keys. PkiError when one cannot be read."""
    return frozenset(written(block) for block in _BLOCK.findall(pem))


def _der(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
