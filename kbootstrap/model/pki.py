"""Certificates and keys as values: what a cluster wants (Profile), where it lies on a host (Place), what there is (Pki), what was signed (Issued).

Certificates and keys stay PEM bytes, as files hold them: a run that signs nothing never decodes a CA's key. Private keys never show in a ``repr``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import KeyType
from kbootstrap.model.sealing import Sealing

SERVICE_ACCOUNT: Final = "service-account"  # the key pair of tokens, where it stands beside the CAs


class Usage(StrEnum):
    """Extended key usage: which side of a TLS connection may show the certificate."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a certificate and its key lie on a host; *key* is empty for a CA, of which hosts get the certificate only.

    *combined*: both in the one file *cert* (haproxy reads them so); *key* is then the same path.
    """

    cert: str
    key: str = ""
    owner: str = "root"
    combined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A certificate that a cluster must have. ``id`` is ``<host>/<name>``, or just ``<name>`` when it belongs to no host."""

    name: str
    host: str | None
    issuer: str  # the name of a CA, catalog.names
    common_name: str
    organizations: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    usages: tuple[Usage, ...]
    place: Place | None = None  # None: it travels inside a kubeconfig
    kubeconfig: str = ""  # the component whose kubeconfig carries it, for catalog.paths.kubeconfig

    @property
    def id(self) -> str:
        return f"{self.host}/{self.name}" if self.host else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate (its chain may follow it) and its private key, both PEM; ``key_pem`` is ``b""`` where the key is kept elsewhere."""

    cert_pem: bytes
    key_pem: bytes = field(default=b"", repr=False)

    @property
    def combined(self) -> bytes:
        """Key and certificate in one text."""
        return self.key_pem + self.cert_pem


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A signature that was made: a line of the ledger. *serial* is hex, *reason* a sentence («expires in 12 days»)."""

    id: str
    serial: str
    issuer: str
    subject: str
    groups: tuple[str, ...]
    when: datetime
    not_after: datetime
    reason: str
    who: str = ""  # as the ledger says; who writes a line now is the store's to know


def no_passphrase(what: str) -> bytes:
    """Nobody can be asked for the passphrase of *what*."""
    raise PkiError(f"{what} is locked by a passphrase, and there is nobody to ask for it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """Everything secret and everything trusted of one cluster. ``Pki()`` is the PKI of a cluster that does not exist yet.

    While a CA is rotated (``pki.rotate``) it has a successor, then a predecessor. The names there are the CAs' and SERVICE_ACCOUNT, whose
    «certificate» is a public key.

    A new cluster may begin with CAs that the user gave (*given*; without a certificate while a request for it is open). *pending* are keys of leaves
    whose requests wait for an answer. Neither is in use. *unlock* gets the passphrase of a locked CA key, and is called only to sign.
    """

    cas: Mapping[str, KeyPair] = field(default_factory=dict)  # by name; a chain, who signs first, the root last; a key may be absent
    pairs: Mapping[str, KeyPair] = field(default_factory=dict)  # by profile id; may hold more than the spec wants
    sa_key: bytes = field(default=b"", repr=False)  # PEM, signs service-account tokens
    sa_pub: bytes = b""
    sealing: Sealing = field(default_factory=Sealing)  # the keys of what etcd holds
    upcoming: Mapping[str, KeyPair] = field(default_factory=dict)  # trusted, not signing yet
    former: Mapping[str, bytes] = field(default_factory=dict)  # still trusted, signs no more
    retired: Mapping[str, bytes] = field(default_factory=dict)  # trusted no more; known again on a host that missed the end of a rotation
    given: Mapping[str, KeyPair] = field(default_factory=dict)
    pending: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # by profile id
    unlock: Callable[[str], bytes] = field(default=no_passphrase, repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing at all: the only state in which CAs are made."""
        return not (self.cas or self.pairs or self.sa_key or self.sa_pub or self.sealing.known)

    def pair(self, profile_id: str) -> KeyPair:
        """The certificate and key of a profile; KeyError if it was not issued (call ``pki.issue.complete`` first)."""
        return self.pairs[profile_id]

    def ca(self, name: str) -> KeyPair:
        """The CA called *name* as the one who signs; KeyError if there is none."""
        return self.cas[name]

    def trust(self, name: str) -> bytes:
        """What verifiers get for the CA called *name*: PEM, roots only; two of them while it is rotated."""
        others = [self.upcoming[name].cert_pem] if name in self.upcoming else []
        others += [self.former[name]] if name in self.former else []
        return b"".join(dict.fromkeys(root(chain) for chain in (self.cas[name].cert_pem, *others)))

    @property
    def sa_trust(self) -> bytes:
        """What verifies service-account tokens: public keys, PEM, the one that signs first."""
        others = [self.upcoming[SERVICE_ACCOUNT].cert_pem] if SERVICE_ACCOUNT in self.upcoming else []
        return b"".join([self.sa_pub, *others, self.former.get(SERVICE_ACCOUNT, b"")])


def root(chain: bytes) -> bytes:
    """The last certificate of *chain*, PEM."""
    _, begin, last = chain.rpartition(b"-----BEGIN ")
    return begin + last


class Entropy(Protocol):
    """The source of randomness; ``store.entropy`` has the real one, tests a predictable one."""

    def key(self, kind: KeyType) -> bytes:
        """A new private key, PKCS #8 PEM without passphrase."""
        ...

    def random(self, size: int) -> bytes:
        """*size* random bytes."""
        ...
