"""Private keys under a passphrase: PKCS #8 (RFC 5958) as openssl reads and writes it, with scrypt (RFC 7914) between passphrase and key.

What ``cryptography`` writes stretches the passphrase by 2048 rounds of PBKDF2, which a graphics card tries by the million; so the few bytes of DER
around the ciphertext are made here. Reading is left to it: a key that openssl locked in any way opens too.
"""

from __future__ import annotations

from base64 import encodebytes
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Entropy

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_COST: Final = 1 << 14  # 16 MiB: openssl's own choice, and the most that it reads without being told
_OID_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_OID_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")
_OID_AES256_CBC: Final = bytes.fromhex("60864801650304012a")
_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 0x02, 0x04, 0x06


def is_locked(key_pem: bytes) -> bool:
    """Whether *key_pem* needs a passphrase; also the older form, which says so in a header."""
    return b"ENCRYPTED" in key_pem


def open_(key_pem: bytes, passphrase: bytes | None = None, *, fresh: bool = False) -> PrivateKey:
    """The key, ready to sign; a *fresh* one was made just now, so an RSA key's primes are not proven again (0.1 s each).

    PkiError when it cannot be read, needs another passphrase, or is of a kind that cannot sign here.
    """
    try:
        key = load_pem_private_key(key_pem, passphrase if is_locked(key_pem) else None, unsafe_skip_rsa_key_validation=fresh)
    except (ValueError, TypeError) as error:
        if is_locked(key_pem) and passphrase is not None:
            raise PkiError("the passphrase does not open it") from error
        raise PkiError(f"not a readable private key ({error})") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(f"a private key of the kind {type(key).__name__} cannot sign here, want ECDSA or RSA")
    return key


def unlock(key_pem: bytes, passphrase: bytes) -> bytes:
    """*key_pem* without a passphrase, PKCS #8 PEM. PkiError when this one does not open it."""
    return open_(key_pem, passphrase).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def lock(key_pem: bytes, passphrase: bytes, entropy: Entropy) -> bytes:
    """*key_pem*, which is open, under *passphrase*. It is opened again before it is returned, for nothing else may remain of it."""
    plain = open_(key_pem).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, vector = entropy.random(16), entropy.random(16)
    secret = Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase)
    padder, cipher = PKCS7(128).padder(), Cipher(algorithms.AES(secret), modes.CBC(vector)).encryptor()
    hidden = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    stretching = _der(_SEQUENCE, _der(_OCTETS, salt), _integer(_COST), _integer(8), _integer(1))
    algorithm = _der(
        _SEQUENCE,
        _der(_OID, _OID_PBES2),
        _der(
            _SEQUENCE,
            _der(_SEQUENCE, _der(_OID, _OID_SCRYPT), stretching),
            _der(_SEQUENCE, _der(_OID, _OID_AES256_CBC), _der(_OCTETS, vector)),
        ),
    )
    locked = _pem(_der(_SEQUENCE, algorithm, _der(_OCTETS, hidden)))
    if unlock(locked, passphrase) != open_(key_pem).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()):
        raise PkiError("the locked key does not open to the same key; nothing was changed")
    return locked


def _pem(der: bytes) -> bytes:
    text = encodebytes(der).replace(b"\n", b"")
    lines = b"".join(text[start : start + 64] + b"\n" for start in range(0, len(text), 64))
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + lines + b"-----END ENCRYPTED PRIVATE KEY-----\n"


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def _der(tag: int, *parts: bytes) -> bytes:
    """One value of DER: tag, length, content."""
    content = b"".join(parts)
    size = len(content)
    length = bytes([size]) if size < 0x80 else (octets := size.to_bytes((size.bit_length() + 7) // 8), bytes([0x80 | len(octets)]) + octets)[1]
    return bytes([tag]) + length + content
