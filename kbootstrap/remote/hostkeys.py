"""The cluster's known_hosts: who a host was when its fingerprint was compared, and whether it still is. Pure but for ``load``.

The format is OpenSSH's (sshd(8), «SSH_KNOWN_HOSTS FILE FORMAT»): names with wildcards and ``!``, ``[host]:port``, hashed names,
``@cert-authority`` and ``@revoked``. Only the exact name counts: a key recorded for port 22 says nothing about another port.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from kbootstrap.errors import HostKeyError

CERTIFICATE: Final = "-cert-v01@openssh.com"
ALGORITHMS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_SPECIAL: Final = frozenset("*?!|")
_ONE: Final = threading.Lock()  # fifty connections begin at once, and one parses
_TRUST: Final = "invoke inventory.trust"


def known_name(host: str, port: int) -> str:
    """The name under which a host's key is recorded: ``host``, or ``[host]:port`` for any port but 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def fingerprint(blob: bytes) -> str:
    """OpenSSH's fingerprint of a public key in wire format: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line: *kind* is the key type as recorded (``ssh-rsa``), *blob* the key in wire format."""

    number: int
    marker: str
    names: str
    kind: str
    blob: bytes

    @property
    def plain(self) -> frozenset[str]:
        """The names, where all are just names: compared letter by letter; empty if one is hashed or a pattern."""
        names = self.names.lower().split(",")
        return frozenset() if any(_SPECIAL.intersection(name) for name in names) else frozenset(names)

    def matches(self, name: str) -> bool:
        """Whether the line speaks of *name*; a matching ``!pattern`` excludes it."""
        patterns = self.names.split(",")
        if any(p.startswith("!") and _matches(p[1:], name) for p in patterns):
            return False
        return any(_matches(p, name) for p in patterns if not p.startswith("!"))


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        try:
            salt, digest = (base64.b64decode(part) for part in pattern[3:].split("|"))
        except (ValueError, binascii.Error):
            return False
        return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
    return fnmatchcase(name, pattern.lower().replace("[", "[[]"))  # only * and ? are special in known_hosts


def parse(text: str) -> tuple[Record, ...]:
    """The records of a known_hosts file; lines that are no records (comments, unknown formats) are left out, as OpenSSH does."""
    records = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        try:
            blob = base64.b64decode(fields[2], validate=True)
        except ValueError:  # not base64, or not even ASCII
            continue
        records.append(Record(number=number, marker=marker, names=fields[0], kind=fields[1], blob=blob))
    return tuple(records)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHosts:
    """A parsed file; *path* is for messages."""

    path: Path
    records: tuple[Record, ...]
    _named: Mapping[str, tuple[Record, ...]] = field(init=False, repr=False, compare=False)  # by each plain name
    _others: tuple[Record, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, tuple[Record, ...]] = {}
        for record in self.records:
            for name in record.plain:
                named[name] = (*named.get(name, ()), record)
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_others", tuple(record for record in self.records if not record.plain))

    def of(self, name: str, marker: str = "") -> tuple[Record, ...]:
        """The records that speak of *name*, in the order of the file."""
        found = [*self._named.get(name, ()), *(r for r in self._others if r.matches(name))]
        return tuple(sorted((r for r in found if r.marker == marker), key=lambda r: r.number))

    def algorithms(self, name: str) -> tuple[str, ...]:
        """What to ask the server for, best first: recorded types before others, certificates only where an authority is recorded."""
        kinds = {r.kind for r in self.of(name)}
        known = [a for a in ALGORITHMS if _kind(a) in kinds]
        certificates = [a + CERTIFICATE for a in ALGORITHMS] if self.of(name, "@cert-authority") else []
        return tuple(known + certificates + [a for a in ALGORITHMS if a not in known])

    def verify(self, host: str, port: int, algorithm: str, blob: bytes) -> None:
        """Return if *blob* is what is recorded for the host. Raises HostKeyError with fingerprints and the way out, else."""
        name = known_name(host, port)
        if any(r.blob == blob for r in self.of(name, "@revoked")):
            raise HostKeyError(f"{name} shows a key that {self.path} lists as revoked: {fingerprint(blob)}", hint="Do not connect.")
        if algorithm.endswith(CERTIFICATE):
            self._verify_certificate(name, host, algorithm, blob)
        elif not any(r.blob == blob for r in self.of(name)):
            raise self._unknown(name, algorithm, blob)

    def _unknown(self, name: str, algorithm: str, blob: bytes) -> HostKeyError:
        shown = f"{_kind(algorithm)} {fingerprint(blob)}"
        recorded = self.of(name)
        if not recorded:
            return HostKeyError(
                f"the host key of {name} is not known: {shown}",
                hint=f"Run `{_TRUST}` and compare it with `ssh-keygen -lf` on the host itself.",
            )
        same = [r for r in recorded if r.kind == _kind(algorithm)] or list(recorded)
        old = ", ".join(f"{r.kind} {fingerprint(r.blob)} (line {r.number})" for r in same)
        lines = ", ".join(str(r.number) for r in recorded)
        return HostKeyError(
            f"THE HOST KEY OF {name} HAS CHANGED. Recorded in {self.path}: {old}; the host shows: {shown}",
            hint=f"Someone may be in between. If the host was reinstalled, remove line {lines} of {self.path} and run `{_TRUST}`.",
        )

    def _verify_certificate(self, name: str, host: str, algorithm: str, blob: bytes) -> None:
        problem = _certificate_problem(blob, algorithm, host, {r.blob for r in self.of(name, "@cert-authority")})
        if problem:
            raise HostKeyError(f"the host certificate of {name} {problem}", hint=f"Renew it on the host, or run `{_TRUST}` to record its plain key.")


def _certificate_problem(blob: bytes, algorithm: str, host: str, authorities: set[bytes]) -> str:
    """What is wrong with a host certificate, empty if nothing (PROTOCOL.certkeys)."""
    kind = _kind(algorithm.removesuffix(CERTIFICATE)) + CERTIFICATE
    try:
        certificate = serialization.load_ssh_public_identity(f"{kind} ".encode() + base64.b64encode(blob))
        if not isinstance(certificate, serialization.SSHCertificate):
            raise ValueError("not a certificate")
        authority = certificate.signature_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        certificate.verify_cert_signature()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        return f"cannot be verified: {error or 'wrong signature'}"
    if base64.b64decode(authority.split()[1]) not in authorities:
        return "is signed by an authority that is not recorded"
    if certificate.type is not serialization.SSHCertificateType.HOST:
        return "is a user's certificate"
    if not certificate.valid_after <= time.time() < certificate.valid_before:
        return "is not valid now"
    if certificate.valid_principals and host.encode() not in certificate.valid_principals:
        return f"does not name {host}"
    return ""


def _kind(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def load(path: Path) -> KnownHosts:
    """The cluster's file; a missing one is an empty one. Parsed once for all connections, until it changes."""
    try:
        seen = path.stat()
        with _ONE:
            return _load(path, (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
    except FileNotFoundError:
        return KnownHosts(path=path, records=())
    except OSError as error:
        raise HostKeyError(f"{path} cannot be read: {error.strerror}") from error


@lru_cache(maxsize=8)
def _load(path: Path, _stat: tuple[int, ...]) -> KnownHosts:
    return KnownHosts(path=path, records=parse(path.read_text(errors="replace")))
