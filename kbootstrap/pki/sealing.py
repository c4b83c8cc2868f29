"""The rotation of the key that seals secrets, as three changes: ``begin``, ``promote``, ``drop``; and the keys as texts of the PKI directory.

Between two of them every API server must have got what the PKI says then: first all read by both, then the new one seals, and once nothing is
sealed by the old one any more, it goes. How far a rotation is can be read from the keys alone (``phase``).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Final

from kbootstrap.errors import PkiError, Problem
from kbootstrap.model.pki import Entropy
from kbootstrap.model.sealing import FIRST, Sealing, SealKey

SIZE: Final = 32
_AGAIN: Final = "`invoke secrets.rotate` goes on where it stopped."
_RESTORE: Final = "Restore it from a backup; it is never made anew beside an existing cluster."


class Phase(StrEnum):
    """How far the rotation is."""

    IDLE = "idle"
    READ = "read"  # both read, the old one seals
    WRITE = "write"  # both read, the new one seals


def phase(sealing: Sealing) -> Phase:
    """Where the rotation stands."""
    if sealing.upcoming is not None:
        return Phase.READ
    return Phase.IDLE if sealing.former is None else Phase.WRITE


def first(entropy: Entropy) -> Sealing:
    """What a cluster begins with."""
    return Sealing(writer=SealKey(secret=entropy.random(SIZE)))


def begin(sealing: Sealing, entropy: Entropy) -> Sealing:
    """A successor that reads and does not seal yet. PkiError while the last rotation is still under way."""
    _require(sealing, Phase.IDLE)
    made = SealKey(secret=entropy.random(SIZE))
    return replace(sealing, upcoming=replace(made, name=f"key-{made.fingerprint}"))


def promote(sealing: Sealing) -> Sealing:
    """The successor seals; the old key still reads."""
    _require(sealing, Phase.READ)
    return replace(sealing, writer=sealing.upcoming, upcoming=None, former=sealing.writer)


def drop(sealing: Sealing) -> Sealing:
    """The old key reads no more. Only once nothing in etcd is sealed by it. It stays for the snapshots of its time."""
    _require(sealing, Phase.WRITE)
    gone = (sealing.former,) if sealing.former else ()
    return replace(sealing, former=None, retired=(*sealing.retired, *gone))


def readmit(sealing: Sealing, key: SealKey) -> Sealing:
    """A retired *key* reads again, for a snapshot of its time; a rotation that goes on from here rewrites what it sealed, and drops it."""
    _require(sealing, Phase.IDLE)
    return replace(sealing, former=key, retired=tuple(each for each in sealing.retired if each != key))


def undropped(sealing: Sealing) -> Sealing | None:
    """*sealing* as it was right before the last ``drop``; None where that was never, or another rotation has begun since."""
    return readmit(sealing, sealing.retired[-1]) if phase(sealing) is Phase.IDLE and sealing.retired else None


def _require(sealing: Sealing, wanted: Phase) -> None:
    if (found := phase(sealing)) is not wanted:
        raise PkiError(f"the rotation of the key that seals secrets is in the phase {found}, not {wanted}", hint=_AGAIN)


def dump(keys: Iterable[SealKey | None]) -> bytes:
    """A line for each key: the secret in base64, and its name behind it unless it is the first."""
    lines = [f"{b64encode(key.secret).decode()}{'' if key.name == FIRST else f' {key.name}'}\n" for key in keys if key is not None]
    return "".join(lines).encode()


def parse(text: bytes) -> tuple[SealKey, ...]:
    """The inverse of ``dump``. ValueError when a line holds no key."""
    return tuple(_key(words) for line in text.decode().splitlines() if (words := line.split()))


def _key(words: list[str]) -> SealKey:
    if len(words) > 2:
        raise ValueError(f"{len(words)} words in a line")
    return SealKey(secret=b64decode(words[0], validate=True), name=words[1] if len(words) == 2 else FIRST)


def faults(path: str, keys: Iterable[SealKey | None]) -> Iterator[Problem]:
    """What is wrong with the keys that the file *path* holds."""
    for key in keys:
        if key is not None and len(key.secret) != SIZE:
            yield Problem(where=path, what=f"holds {len(key.secret)} bytes, want {SIZE} in base64.", hint=_RESTORE)
