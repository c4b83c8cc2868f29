"""One file that holds what a cluster cannot be rebuilt without: the PKI directory as it lies on the disk, and the inventory beside it. Sealed.

The archive is a tar inside ``pki.seal``: without the passphrase nothing of it can be read, nor a byte be changed unseen. It is read back from the
disk before anybody relies on it; what it gives back is byte for byte what was taken, under the modes that it had.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final

from kbootstrap.errors import PkiError, Problem, UsageError
from kbootstrap.inventory.fields import LABEL
from kbootstrap.pki import layout, seal
from kbootstrap.store import files, lock, pki_journal
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder

ANOTHER: Final = "A backup replaces nothing: say another file with --to."
_MOST: Final = 1 << 30  # it is sealed as one piece, in memory
_NOTE: Final = "kbootstrap backup of "
_FILES: Final = frozenset(("cluster.yml", "state.yml", "known_hosts", "pins.yml"))
_FOLDERS: Final = frozenset(("pki", "overrides", "snapshots"))
_MODE: Final = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of an archive."""

    content: bytes
    mode: int


def write(folder: Folder, target: Path, passphrase: bytes, also: Sequence[Path] = (), *, now: datetime, cost: int = seal.COST) -> int:
    """Write the archive of *folder* to the new file *target*; how many files are in it. The caller holds the cluster's lock.

    It is at *target* whole and read back, or not at all: also after a SIGKILL, a full disk or a power cut.

    *also*: more files of that folder. UsageError when *target* is there; PkiError when there is no PKI, and when what was read back is not what
    was written.
    """
    if not folder.pki.is_dir():
        raise PkiError(f"{folder.pki} holds no certificates yet: there is nothing to keep")
    pki_journal.finish(folder.pki, previous=layout.PREVIOUS)
    members = _collect(folder, also)
    header = seal.Lock(note=f"{_NOTE}{folder.name}, {now:%Y-%m-%d %H:%M} UTC", salt=SystemEntropy().random(16), cost=cost)
    part = target.with_name(f".{target.name}{files.TEMPORARY}")
    part.unlink(missing_ok=True)
    try:
        files.create_secret(part, seal.close(header, passphrase, _pack(members), SystemEntropy()))
        if read(part, passphrase) != _collect(folder, also):
            raise PkiError(f"{target} was read back, and is not what was written; it was removed", hint="Look after that disk, and run it again.")
        files.give_name(part, target)
    except FileExistsError:
        raise UsageError(f"{target} exists; nothing was written", hint=ANOTHER) from None
    finally:
        part.unlink(missing_ok=True)
    files.sync([target.resolve().parent])
    return len(members)


def cluster(source: Path) -> str:
    """The name of the folder that *source* is a backup of; its header says so without a passphrase, whoever wrote it. PkiError when it is no name."""
    note = seal.header(_bytes(source)).note
    if not note.startswith(_NOTE):
        raise PkiError(f"{source} is sealed by this program, and is no backup")
    name = note.removeprefix(_NOTE).partition(",")[0]
    if not re.fullmatch(LABEL, name):
        what = f"{source} calls itself a backup of {name!r}, which is no name of a cluster; nothing was written"
        raise PkiError(what, hint="If you know whose it is, say the folder to write: --to inventory/NAME.")
    return name


def read(source: Path, passphrase: bytes) -> Mapping[str, Member]:
    """Path below the cluster's folder → file. PkiError when the passphrase is another, or the archive was changed."""
    try:
        packed = seal.open_(_bytes(source), passphrase)
    except PkiError as error:
        raise PkiError(f"{source}: {error.message}", hint=error.hint) from error
    found: dict[str, Member] = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for info in tar:
            content = tar.extractfile(info) if info.isreg() else None
            if content is None or not _belongs(info.name) or info.name in found:
                raise _foreign(source, info.name)
            found[info.name] = Member(content=content.read(), mode=info.mode & _MODE)
    for name in found:
        if any(parent.as_posix() in found for parent in PurePosixPath(name).parents):
            raise _foreign(source, name)
    return found


def _foreign(source: Path, name: str) -> PkiError:
    hint = "Neither invoke cluster.export nor certs.backup of this version made it; do not use it."
    return PkiError(f"{source}: {name!r} is no file that a backup may hold; nothing was written", hint=hint)


def _belongs(name: str) -> bool:
    """Whether ``write`` could have taken *name*, spelled as it spells it: what an archive holds may be a stranger's."""
    top, *inner = name.split("/")
    return top in _FOLDERS and not {"", ".", ".."} & {*inner} and "\0" not in name if inner else top in _FILES


@contextmanager
def unpacked(members: Mapping[str, Member], root: Path) -> Iterator[Path]:
    """*members* in a folder that is not *root* yet but beside it, to be read there first. It goes at the end, unless it got its name meanwhile.

    Two levels deep, so that no command takes it for a cluster, and under a fixed name: what a killed run left is removed by the next.
    """
    place = root.resolve().parent / f".{root.resolve().name}.arriving"
    files.make_folder(place)
    with lock.hold(place, "cluster.import"):
        new = place / "new"
        shutil.rmtree(new, ignore_errors=not new.exists())
        try:
            files.make_folder(new)
            restore(members, new)
            yield new
        finally:
            shutil.rmtree(place)


def arrive(members: Mapping[str, Member], new: Path, root: Path) -> int:
    """``restore`` into a folder that holds no cluster yet; how many files that were. Where there is none, *new* (of ``unpacked``) becomes *root*.

    UsageError, and nothing written, where another cluster is; the very same one is no error.
    """
    if not root.exists():
        new.rename(root)
        files.sync([root.resolve().parent])
        return len(members)
    with lock.hold(root, "cluster.import"):
        there = {name: (root / name).is_file() and (root / name).read_bytes() == member.content for name, member in members.items()}
        if (root / "cluster.yml").exists() and not all(there.values()):
            raise UsageError(f"{root} holds a cluster already; nothing was written", hint="Say another folder with --to, or move that one away.")
        return restore(members, root)


def restore(members: Mapping[str, Member], root: Path) -> int:
    """Put into the folder *root* what it lacks of *members*; how many files that were. What is there is never replaced.

    PkiError, before anything is written, when a file is there with another content: that is another PKI, or a later state of this one.
    ``cluster.yml`` comes last: while it is missing, no command takes the folder for a cluster.
    """
    differing = [name for name, member in members.items() if (root / name).exists() and (root / name).read_bytes() != member.content]
    if differing:
        problems = [Problem(where=str(root / name), what="differs from the one in the backup.") for name in differing]
        hint = "Restore beside it (--to ANOTHER-FOLDER) and compare, or move what is there away."
        raise PkiError(f"{root} holds another cluster, or another state of it; nothing was written", problems=problems, hint=hint)
    missing = [name for name in members if not (root / name).exists()]
    if not (root / "pki").exists():
        _whole_pki(root, {name: members[name] for name in missing if name.startswith("pki/")})
    for name in sorted(missing, key=lambda name: (name == "cluster.yml", name)):
        path = root / name
        if not path.exists():
            for folder in reversed(path.relative_to(root).parents[:-1]):
                files.make_folder(root / folder)
            files.write_secret(path, members[name].content)
            path.chmod(members[name].mode)
            files.sync([path.parent])
    return len(missing)


def _whole_pki(root: Path, members: Mapping[str, Member]) -> None:
    """By one rename, as it was made: a part of a PKI would be refused, and none would be taken for a new cluster's."""
    new = root / ".pki.new"
    shutil.rmtree(new, ignore_errors=not new.exists())
    for name, member in members.items():
        path = new / PurePosixPath(name).relative_to("pki")
        for folder in reversed(path.relative_to(root).parents[:-1]):
            files.make_folder(root / folder)
        files.write_secret(path, member.content)
    if members:
        files.sync(Path(folder) for folder, _, _ in os.walk(new))
        new.rename(root / "pki")
        files.sync([root])


def _collect(folder: Folder, also: Sequence[Path]) -> dict[str, Member]:
    paths = sorted({*_paths(folder), *also})
    if sum(path.stat().st_size for path in paths) > _MOST:
        raise UsageError(f"more than {_MOST >> 20} MiB do not go into one sealed file", hint="Leave the snapshot out, and keep it by itself.")
    return {path.relative_to(folder.root).as_posix(): _member(path) for path in paths}


def _paths(folder: Folder) -> Iterator[Path]:
    yield from (path for path in (folder.cluster_yml, folder.state, folder.known_hosts, folder.pins) if path.exists())
    for top in (folder.pki, folder.overrides):
        for directory, _, names in os.walk(top, followlinks=True):
            yield from (Path(directory) / name for name in names if not name.endswith(files.TEMPORARY))


def _member(path: Path) -> Member:
    return Member(content=path.read_bytes(), mode=path.stat().st_mode & _MODE)


def _pack(members: Mapping[str, Member]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(member.content), member.mode
            tar.addfile(info, io.BytesIO(member.content))
    return packed.getvalue()


def _bytes(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from error
