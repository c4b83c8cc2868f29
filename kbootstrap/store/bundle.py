"""Bundles: verified binaries and images of one version and architecture as one file, for a machine without a way out.

A tar without compression: ``bundle.json`` first, which names every other member with its checksum, then the members in its order. The same cache
gives the same bytes: no clock, no owner, no name of a machine is in it. What is loaded lies in the cache as if it had been fetched there: where the
catalog knows the checksum of just this file, that is asked too; for all others (built from modules, out of archives, images) the bundle's own, which
``bundle.make`` prints and the user says, is the evidence, and their records say so.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from filelock import FileLock

from kbootstrap.catalog.releases import Checksum, downloads
from kbootstrap.errors import ArtifactError, ChecksumError, UsageError, counted
from kbootstrap.store import files
from kbootstrap.store.artifacts import records
from kbootstrap.store.bundle_header import Content, Item, LaterFormatError, parse

HEADER: Final = "bundle.json"
SUFFIX: Final = ".kbbundle"
_MOST_HEADER: Final = 4 << 20
_CHUNK: Final = 1 << 20
_INCOMING: Final = "incoming-bundle"
_DISTRUST: Final = "Copy it again; compare its sha256 with the one that invoke bundle.make printed."


def write(target: Path, content: Content, paths: Mapping[str, Path]) -> str:
    """Write the new file *target* of *content*, whose items lie at *paths* (place → file); its sha256. Atomic: it is there whole or not at all.

    ChecksumError when a file is not what its record says.
    """
    part = target.with_name(f".{target.name}{files.TEMPORARY}")
    try:
        with part.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            tar.addfile(_entry(HEADER, len(content.text()), 0o644), io.BytesIO(content.text()))
            for item in content.items:
                path = paths[item.place]
                if path.stat().st_size != item.size or records.digest(path) != item.sha256:
                    raise ChecksumError(f"{path}: changed since it was verified", hint="Remove it and its .json, and run the same command again.")
                with path.open("rb") as member:
                    tar.addfile(_entry(item.place, item.size, item.mode), member)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        sha256 = records.digest(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    files.sync([target.resolve().parent])
    return sha256


def _own_place(place: str) -> str:
    """What came from a mirror goes into a bundle as what it is, the project's own: where it is loaded there is no mirror."""
    return re.sub(r"/mirror\.tar$", "/release.tar", re.sub(r"^mirror/", "release/", place))


def head(source: Path) -> Content:
    """What *source* says of itself; its size fits. ArtifactError when it is no bundle, or was cut short."""
    try:
        with tarfile.open(source, "r:") as tar:
            first = tar.next()
            if first is None or first.name != HEADER or not first.isreg() or first.size > _MOST_HEADER:
                raise ArtifactError(f"{source} is no bundle", hint="invoke bundle.make writes one.")
            text = tar.extractfile(first)
            content = parse(text.read() if text else b"")
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from error
    except tarfile.TarError as error:
        raise ArtifactError(f"{source} is no bundle, or was cut short: {error}", hint=_DISTRUST) from error
    except LaterFormatError:
        raise ArtifactError(f"{source} was made by a later version of this program", hint="Use that one here, too.") from None
    except ValueError as error:
        raise ArtifactError(f"{source} is no bundle, or was changed: {error}", hint=_DISTRUST) from error
    if (found := source.stat().st_size) != content.size:
        what = "was cut short" if found < content.size else "has more bytes than it says"
        raise ArtifactError(f"{source} {what}: {found} of {content.size} bytes", hint=_DISTRUST)
    return content


def load(source: Path, cache: Path, *, sha256: str = "") -> tuple[Content, int]:
    """Bring everything of *source* into the *cache*: all of it verified before any of it is there. How many files were new.

    *sha256*: what the whole file must have; UsageError without it, unless the catalog knows the checksum of everything in there. ChecksumError for
    anything that differs; the cache is then as it was.
    """
    content = head(source)
    if not sha256:
        _refuse_unproven(source, content)
    if sha256 and (found := records.digest(source)) != sha256.lower():
        raise ChecksumError(f"{source}: wrong sha256: expected {sha256.lower()}, got {found}", hint=_DISTRUST)
    folder = records.private_directory(cache) / _INCOMING
    with FileLock(cache / f".{_INCOMING}.lock"):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            arrived = dict(_verified(source, content, records.private_directory(folder)))
            new = sum(_admit(item, arrived[item.place], cache / item.place, sha256) for item in content.items)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return content, new


def _verified(source: Path, content: Content, folder: Path) -> Iterator[tuple[str, Path]]:
    """Place → the file in *folder*, in the bundle's order; a member that is not named, or not in its turn, is refused."""
    try:
        with tarfile.open(source, "r:") as tar:
            tar.next()
            for number, item in enumerate(content.items):
                member = tar.next()
                body = tar.extractfile(member) if member is not None and member.isreg() else None
                if member is None or body is None or (member.name, member.size) != (item.place, item.size):
                    raise ChecksumError(f"{source}: {item.place} is not where the bundle says", hint=_DISTRUST)
                path = folder / str(number)
                digest = hashlib.sha256()
                with body, path.open("wb") as file:
                    while chunk := body.read(_CHUNK):
                        digest.update(chunk)
                        file.write(chunk)
                if digest.hexdigest() != item.sha256:
                    raise ChecksumError(f"{source}: {item.place}: expected sha256 {item.sha256}, got {digest.hexdigest()}", hint=_DISTRUST)
                _refuse_unpublished(source, item, path)
                yield item.place, path
            if tar.next() is not None:
                raise ChecksumError(f"{source}: holds more than it names", hint=_DISTRUST)
    except tarfile.TarError as error:
        raise ArtifactError(f"{source} was changed or cut short: {error}", hint=_DISTRUST) from error


def _refuse_unproven(source: Path, content: Content) -> None:
    """Whoever changes a bundle changes its header, too: only a checksum that came another way tells."""
    unproven = [f"{item.name} {item.version}" for item in content.items if item.origin.get("url", "") not in _published()]
    if unproven:
        some = ", ".join(unproven[:3]) + (" …" if len(unproven) > 3 else "")
        what = (
            f"{source}: nobody publishes a checksum of {counted(len(unproven), 'file')} in it ({some}), so its own must be said; nothing was loaded"
        )
        raise UsageError(what, hint=f"As invoke bundle.make printed it, not as it came with the file: invoke bundle.load {source} --sha256 SUM")


def _refuse_unpublished(source: Path, item: Item, path: Path) -> None:
    """A file that is published as it is has a checksum that no bundle can change."""
    published = _published().get(item.origin.get("url", ""))
    if published is not None and (found := records.digest(path, published.algorithm)) != published.value:
        what = f"{source}: {item.name} {item.version} is not the published one: expected {published.algorithm} {published.value}, got {found}"
        raise ChecksumError(what, hint=_DISTRUST)


@lru_cache(maxsize=1)
def _published() -> dict[str, Checksum]:
    """Address → checksum, of files that are no archives."""
    plain = [file for file in downloads() if not file.is_archive]
    return {file.url(version, arch): checksum for file in plain for (version, arch), checksum in file.checksums.items()}


def _admit(item: Item, arrived: Path, path: Path, sha256: str) -> bool:
    """False when just this is in the cache already. *sha256*: the bundle's, which the record keeps where nothing else speaks for the file."""
    record = records.lookup(path, item.origin)
    if record is not None and record.sha256 == item.sha256:
        return False
    evidence = {} if item.origin.get("url", "") in _published() else {records.BUNDLE: sha256.lower()}
    records.admit(arrived, path, origin=item.origin, mode=item.mode, extra={**item.extra, **evidence})
    return True


def _entry(name: str, size: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, mode
    return entry


def item(name: str, version: str, path: Path, cache: Path) -> Item:
    """The verified file *path* of the *cache*, as its record has it."""
    record = records.read(path)
    if record is None:
        raise ArtifactError(f"{path}: its record is gone", hint="Run the same command again.")
    place = _own_place(path.relative_to(cache).as_posix())
    mode = path.stat().st_mode & 0o777
    return Item(
        name=name,
        version=version,
        place=place,
        sha256=record.sha256,
        size=record.size,
        mode=mode,
        origin=dict(record.origin),
        extra={name: value for name, value in record.extra.items() if name != records.BUNDLE},
    )
