"""Sealing at rest: what lies on the operator's disk is read only by who knows a passphrase. Pure: files are ``store``'s, randomness an argument.

scrypt (RFC 7914) makes a key of the passphrase; it wraps a random key, and that one seals every file with AES-256-GCM, the file's own path being
authenticated with it: no sealed file can be put in the place of another. Headers carry a version and scrypt's parameters, and are authenticated too.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Entropy

COST: Final = 1 << 16  # 64 MiB, half a second; with r=8, p=2 what OWASP's password storage sheet asks for
_MOST: Final = 1 << 20  # a header from a stranger must not take all memory
_BLOCK_SIZE: Final = 8
_LANES: Final = 2
_NONCE: Final = 12
_KEY: Final = 32
FILE_MAGIC: Final = b"kbootstrap sealed file 1\n"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What stands in a header: how the passphrase is stretched, and a *note* that is authenticated with it."""

    note: str
    salt: bytes
    cost: int = COST

    def text(self) -> bytes:
        """One line of JSON, without its end."""
        parameters = {"n": self.cost, "r": _BLOCK_SIZE, "p": _LANES, "salt": b64encode(self.salt).decode()}
        return json.dumps({"version": _VERSION, "scrypt": parameters, "cipher": "AES-256-GCM", "note": self.note}, sort_keys=True).encode()


def close(lock: Lock, passphrase: bytes, content: bytes, entropy: Entropy) -> bytes:
    """A header line of *lock* and *content*, sealed by *passphrase*. PkiError for an empty passphrase."""
    if not passphrase:
        raise PkiError("an empty passphrase locks nothing")
    nonce = entropy.random(_NONCE)
    sealed = AESGCM(_stretch(passphrase, lock.salt, lock.cost)).encrypt(nonce, content, lock.text())
    return lock.text() + b"\n" + nonce + sealed


def open_(sealed: bytes, passphrase: bytes) -> bytes:
    """What ``close`` sealed. PkiError when the passphrase is another, or a byte was changed: nobody can tell which."""
    line, _, body = sealed.partition(b"\n")
    lock = header(sealed)
    try:
        return AESGCM(_stretch(passphrase, lock.salt, lock.cost)).decrypt(body[:_NONCE], body[_NONCE:], line)
    except (InvalidTag, ValueError) as error:
        raise PkiError("the passphrase does not open it, or it was changed") from error


def header(sealed: bytes) -> Lock:
    """The header of what ``close`` made. PkiError when it has none, or one of a later version."""
    try:
        found: dict[str, Any] = json.loads(sealed.partition(b"\n")[0])
        if found["version"] != _VERSION:
            raise PkiError(f"sealed in version {found['version']} of the format, this program knows {_VERSION}")
        scrypt = found["scrypt"]
        lock = Lock(note=str(found["note"]), salt=b64decode(scrypt["salt"]), cost=int(scrypt["n"]))
        shape = (scrypt["r"], scrypt["p"])
    except (ValueError, KeyError, TypeError) as error:
        raise PkiError("not sealed by this program, or its header is damaged") from error
    if not 2 <= lock.cost <= _MOST or lock.cost & (lock.cost - 1) or shape != (_BLOCK_SIZE, _LANES):
        raise PkiError(f"its header asks for scrypt with n={lock.cost}, r={shape[0]}, p={shape[1]}, which is not done")
    return lock


def close_file(key: bytes, path: str, content: bytes, entropy: Entropy) -> bytes:
    """The content of the file *path* sealed by a random *key*; it opens nowhere but there."""
    nonce = entropy.random(_NONCE)
    return FILE_MAGIC + nonce + AESGCM(key).encrypt(nonce, content, path.encode())


def open_file(key: bytes, path: str, sealed: bytes) -> bytes:
    """What ``close_file`` sealed. PkiError when it was changed, or belongs to another path or key."""
    body = sealed.removeprefix(FILE_MAGIC)
    try:
        return AESGCM(key).decrypt(body[:_NONCE], body[_NONCE:], path.encode())
    except (InvalidTag, ValueError) as error:
        raise PkiError(f"{path} was changed since it was sealed, or belongs to another directory") from error


def is_sealed_file(content: bytes) -> bool:
    """Whether ``close_file`` made it."""
    return content.startswith(FILE_MAGIC)


def new_key(entropy: Entropy) -> bytes:
    """A key for ``close_file``."""
    return entropy.random(_KEY)


@lru_cache(maxsize=4)
def _stretch(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    """Remembered, for a command that reads and then writes would pay twice."""
    return Scrypt(salt=salt, length=_KEY, n=cost, r=_BLOCK_SIZE, p=_LANES).derive(passphrase)
