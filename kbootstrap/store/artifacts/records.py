"""The cache's memory: what was verified once is recognized later without reading it again.

Beside each cached file lies ``<file>.json``: its sha256, where it came from, and the inode, size, mtime and ctime it had when it was hashed. While
those four are unchanged the content counts as unchanged (nobody can write a file without its ctime moving); otherwise it is hashed anew,
and content that differs from its record is quarantined, never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from kbootstrap.errors import ArtifactError, ChecksumError

Stamp = tuple[int, int, int, int]  # inode, size, mtime_ns, ctime_ns
BUNDLE: Final = "bundle"  # in a record's extra: the sha256 of the bundle that is all the evidence for this file
FROM_BUNDLE: Final = "from a bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is known of a cached file; *origin* must equal what is wanted today (address and checksum, or module, version and flags)."""

    sha256: str
    size: int
    stamp: Stamp
    origin: Mapping[str, str]
    extra: Mapping[str, str]  # what became known on the way: the Go version that built it, an image's digest

    def trust(self, usual: str) -> str:
        """Why the file is believed: *usual*, unless it was loaded, and its source was never asked here."""
        return FROM_BUNDLE if BUNDLE in self.extra else usual


def default_cache() -> Path:
    """``~/.cache/kbootstrap/artifacts``, or what the platform uses in its place."""
    return user_cache_path("kbootstrap") / "artifacts"


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def stamp(path: Path) -> Stamp:
    """Inode, size, mtime and ctime of a file."""
    st = path.stat()
    return st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns


def read(path: Path) -> Record | None:
    """The record beside *path*; None if there is none that can be read (the file is then obtained anew)."""
    try:
        fields = json.loads(_beside(path).read_text(encoding="utf-8"))
        return Record(**{**fields, "stamp": tuple(fields["stamp"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def lookup(path: Path, origin: Mapping[str, str]) -> Record | None:
    """The record of *path* if the file is there, came from *origin* and is unchanged; None if it must be obtained.

    ChecksumError if its content is no longer what was recorded; the file is then in quarantine.
    """
    record = read(path)
    if record is None or dict(record.origin) != dict(origin) or not path.exists():
        return None
    if stamp(path) == record.stamp:
        return record
    found = digest(path)
    if found != record.sha256:
        kept = quarantine(path)
        raise ChecksumError(
            f"{path}: changed after it was verified: recorded sha256 {record.sha256}, found {found}",
            hint=f"It was moved to {kept}. Run the same command again to obtain it anew.",
        )
    return _write(path, origin=record.origin, sha256=found, extra=record.extra)


def admit(temporary: Path, path: Path, *, origin: Mapping[str, str], mode: int = 0o755, extra: Mapping[str, str] | None = None) -> Record:
    """Move a verified file to its place in the cache and record it; atomic, durable, replaces what was there."""
    sha256 = digest(temporary)
    temporary.chmod(mode)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    private_directory(path.parent)
    temporary.replace(path)
    return _write(path, origin=origin, sha256=sha256, extra=extra or {})


def quarantine(path: Path) -> Path:
    """Move a file that must not be used aside, to ``quarantine/`` beside it, not executable; returns where it is now."""
    place = private_directory(path.parent / "quarantine") / path.name
    path.chmod(0o600)
    path.replace(place)
    return place


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner can enter: what lies in it will run as root on every host."""
    try:
        for folder in reversed([path, *path.parents]):  # mkdir(parents=True) would leave the parents to the umask
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be made: {error.strerror}", hint="Name another place with --cache.") from None
    return path


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader sees the old or the new content, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def _write(path: Path, *, origin: Mapping[str, str], sha256: str, extra: Mapping[str, str]) -> Record:
    now = stamp(path)
    record = Record(sha256=sha256, size=now[1], stamp=now, origin=dict(origin), extra=dict(extra))
    write_atomically(_beside(path), json.dumps(asdict(record), indent=1) + "\n")
    return record


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
