"""The keys under which API servers seal secrets in etcd, as values. A key's name stands in clear before every value that it sealed."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

FIRST: Final = "key1"  # of the key that a cluster begins with; its successors are called by their fingerprints
FINGERPRINT: Final = 16  # hexadecimal digits


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKey:
    """*secret*: 32 raw bytes, secretbox."""

    name: str = FIRST
    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What may be said of the key anywhere: of 32 random bytes it tells nothing."""
        return sha256(self.secret).hexdigest()[:FINGERPRINT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """*writer* seals what is written; while it is replaced it has an *upcoming* successor, which reads, and then a *former* one, which still does.

    *retired*: nothing that a running API server holds is sealed by them; snapshots of their time are.
    """

    writer: SealKey | None = None
    upcoming: SealKey | None = None
    former: SealKey | None = None
    retired: tuple[SealKey, ...] = ()

    @property
    def readers(self) -> tuple[SealKey, ...]:
        """Every key that API servers are given, the one that seals first."""
        return tuple(key for key in (self.writer, self.upcoming, self.former) if key is not None)

    @property
    def sealed(self) -> tuple[SealKey, ...]:
        """Every key that what etcd holds now may be sealed by."""
        return tuple(key for key in (self.writer, self.former) if key is not None)

    @property
    def known(self) -> tuple[SealKey, ...]:
        """All that are here."""
        return (*self.readers, *self.retired)
