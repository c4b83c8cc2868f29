"""Snapshots of etcd on the operator's machine: ``<cluster>-<time>-<revision>.db``, 0600, and beside each its sidecar ``….json``.

A snapshot gets its name last, when its sidecar is there: what a killed run left behind is never taken for one, and is swept by the next.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from kbootstrap.errors import CommandError, PreflightError, UsageError
from kbootstrap.model.snapshot import HASH_BYTES, PAGE_BYTES, Snapshot, parse
from kbootstrap.store import files

SUFFIX: Final = ".db"
SIDECAR: Final = ".json"
_CHUNK: Final = 1 << 20
_ELSE: Final = "Take another one: invoke etcd.snapshot makes them; each has a sidecar beside it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A file whose own hash is right. *sidecar* is None where none lies beside it."""

    path: Path
    sha256: str
    inner_sha256: str  # of the database alone
    size: int
    sidecar: Snapshot | None = None


def refuse_unfit(folder: Path, *, given: bool = False) -> None:
    """UsageError where *folder*, or what it would lie in, is a file; one that was *given* by the user must be there."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if there.exists() and not there.is_dir():
        raise UsageError(f"{there} is a file, --to names a folder", hint="Say another.")
    if given:
        files.refuse_missing(folder)


def receive(path: Path, lines: Iterable[bytes], *, size: int, sha256: str, about: Snapshot, seal: bool = False) -> Snapshot:
    """Write what arrives (*size* bytes with *sha256*, cut at its newlines) as *path*, with a sidecar: *about*, and what size and hash it has then.
    *seal*: a bare database; it gets the hash that etcd's snapshots end with.

    CommandError when it is not whole or not the same. Whatever goes wrong, nothing is left; after a SIGKILL the next call removes what was.
    """
    files.make_folder(path.parent)
    _sweep(path)
    part = path.with_name(f".{path.name}{files.TEMPORARY}")
    with os.fdopen(_begun(part), "w+b", buffering=_CHUNK) as file:  # and locked, up to the last rename
        try:
            _write(file, lines, size=size, seal=seal)
            found = check(part)
            if sha256 != (found.inner_sha256 if seal else found.sha256):
                raise CommandError(f"the snapshot changed on its way: sha256 was {sha256[:16]}", hint="Run the same command again.")
            sidecar = replace(about, size=found.size, sha256=found.sha256)
            describe(path, sidecar)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    files.sync([path.parent])
    return sidecar


def _begun(part: Path) -> int:
    """A new file, locked while its run lives. CommandError where another run writes the same."""
    while True:
        try:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise CommandError(f"another run writes {part}", hint="Run the same command again.") from None
        with suppress(OSError):  # a file system without locks: there nobody sweeps, either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # a sweep came before the lock


def _sweep(path: Path) -> None:
    """What killed runs left of snapshots of the same cluster; those that are being written are locked."""
    cluster = path.name.rsplit("-", 2)[0]
    for left in path.parent.glob(f".{glob.escape(cluster)}-*{SUFFIX}{files.TEMPORARY}"):
        with suppress(OSError), left.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _write(file: BinaryIO, lines: Iterable[bytes], *, size: int, seal: bool) -> None:
    for line in lines:
        file.write(line)
        file.write(b"\n")
    arrived = file.tell()
    if arrived not in (size, size + 1):  # a last line without a newline has got one
        raise CommandError(f"the snapshot broke off: {arrived} of {size} bytes arrived", hint="Run the same command again.")
    file.truncate(size)
    if seal:
        _seal(file)
    file.flush()
    os.fsync(file.fileno())


def _seal(file: BinaryIO) -> None:
    """Put the sha256 of all that is there behind it."""
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.write(digest.digest())


def describe(path: Path, sidecar: Snapshot) -> None:
    """Write the sidecar of *path*, which gets its name afterwards: a killed run leaves no database that nobody knows."""
    files.write_secret(path.with_suffix(SIDECAR), sidecar.dump())
    files.sync([path.parent])


def check(path: Path) -> Checked:
    """Read *path* whole. PreflightError when it is truncated, damaged, or not what its sidecar says."""
    try:
        size = path.stat().st_size
        if size % PAGE_BYTES != HASH_BYTES:
            raise PreflightError(f"{path} is no whole snapshot: {size} bytes, which no database with its hash behind it can have", hint=_ELSE)
        with path.open("rb") as file:
            inner, left = hashlib.sha256(), size - HASH_BYTES
            while left and (chunk := file.read(min(_CHUNK, left))):
                inner.update(chunk)
                left -= len(chunk)
            end = file.read(HASH_BYTES)
    except OSError as error:
        raise PreflightError(f"{path} cannot be read: {error.strerror}", hint="invoke etcd.snapshot makes one.") from None
    if inner.digest() != end:
        raise PreflightError(f"{path} is damaged: its content has not the hash that etcd wrote behind it", hint=_ELSE)
    whole = inner.copy()
    whole.update(end)
    found = Checked(path=path, sha256=whole.hexdigest(), inner_sha256=inner.hexdigest(), size=size, sidecar=sidecar_of(path))
    if found.sidecar is not None and (found.sidecar.sha256, found.sidecar.size) != (found.sha256, size):
        raise PreflightError(f"{path} is not the file that {path.with_suffix(SIDECAR).name} describes (sha256 {found.sha256[:16]})", hint=_ELSE)
    return found


def sidecar_of(path: Path) -> Snapshot | None:
    """What lies beside *path*; None where there is nothing. PreflightError if it cannot be read as a sidecar."""
    beside = path.with_suffix(SIDECAR)
    try:
        return parse(beside.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PreflightError(f"{beside} is damaged: {error}", hint=_ELSE) from None


def refuse_keep(keep: int) -> None:
    """UsageError unless *keep* can be how many snapshots stay."""
    if keep < 0:
        raise UsageError("--keep is a number of snapshots", hint="0 keeps all.")


def known(folder: Path, cluster_id: str) -> list[tuple[Path, Snapshot]]:
    """The snapshots of the cluster in *folder*, oldest first; files with a damaged sidecar, and others' snapshots, are none."""
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            sidecar = sidecar_of(path)
            if sidecar is not None and sidecar.cluster_id == cluster_id and path.stat().st_size == sidecar.size:
                found.append((path, sidecar))
        except (PreflightError, FileNotFoundError):  # the latter: another run has just removed it
            continue
    return sorted(found, key=lambda each: (each[1].taken, each[0].name))


def prune(folder: Path, cluster_id: str, keep: int, *, needed: str = "") -> list[Path]:
    """Remove all but the *keep* newest snapshots of the cluster, and but *needed*, which a way back leads to, wherever it lay then; gives what was
    removed. The sidecar goes last: a killed run leaves no database that nobody knows. Two at once remove the same."""
    mine = known(folder, cluster_id)
    gone = [path for path, _ in mine[: max(0, len(mine) - keep)] if path.name != Path(needed).name]
    for path in gone:
        path.unlink(missing_ok=True)
        path.with_suffix(SIDECAR).unlink(missing_ok=True)
    if gone:
        files.sync([folder])
    return gone
