"""Sources of official files: the projects' own download sites, and mirrors (a directory or an HTTP server) with the same layout.

A file is used only if its checksum is known beforehand: from the catalog, or from ``pins.yml``. What the server says of itself is no evidence.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.catalog.releases import Checksum, Download, downloads_of
from kbootstrap.errors import ChecksumError, Problem, UnavailableError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import ArtifactSource
from kbootstrap.model.events import Listener
from kbootstrap.store.artifacts import archive, records
from kbootstrap.store.artifacts.download import Reach, download
from kbootstrap.store.artifacts.source import Outcome, Want, artifact, locked

PARALLEL = 4
Pins = Mapping[str, Checksum]  # official address → checksum trusted on first use


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """Where one binary comes from, and the checksum that its file must have."""

    file: Download
    checksum: Checksum
    pinned: bool

    def describe(self, want: Want) -> dict[str, str]:
        member = self.file.member(want.name, want.version, want.arch)
        return {"url": self.file.url(want.version, want.arch), "checksum": str(self.checksum), "member": member}


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Official files from *base*: "" means each file's own site, else a directory or an http(s) address."""

    kind: ArtifactSource
    base: str
    cache: Path
    pins: Pins
    reach: Reach
    listener: Listener

    def cached(self, want: Want) -> Artifact | None:
        """The binary if an earlier run verified it and its checksum still is the one we want."""
        origin = self._origin(want)
        record = records.lookup(self._path(want), origin.describe(want)) if origin else None
        return self._artifact(want, origin, record) if origin and record else None

    def obtain(self, wants: Sequence[Want]) -> Outcome:
        """Download what is wanted, several files at a time; each file once, whatever number of binaries it holds."""
        problems = [self._unpinned(want) for want in wants if self._origin(want) is None]
        groups: dict[str, list[Want]] = {}
        for want in wants:
            origin = self._origin(want)
            if origin is not None:
                groups.setdefault(origin.file.url(want.version, want.arch), []).append(want)
        artifacts: dict[str, Artifact] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            for outcome in pool.map(self._group, groups.values()):
                artifacts |= outcome.artifacts
                problems += outcome.problems
        return Outcome(artifacts=artifacts, problems=tuple(problems))

    def locate(self, file: Download, version: str, arch: str) -> str:
        """The address, or the path on this machine, that the file is read from."""
        return f"{self.base.rstrip('/')}/{file.path(version, arch)}" if self.base else file.url(version, arch)

    def _group(self, wants: list[Want]) -> Outcome:
        try:
            return Outcome(artifacts=self._fetch(wants))
        except UnavailableError as error:
            return Outcome(artifacts={}, problems=tuple(Problem(where=w.name, what=error.message, hint=error.hint) for w in wants))

    def _fetch(self, wants: list[Want]) -> dict[str, Artifact]:
        first = wants[0]
        origin = self._origin(first)
        assert origin is not None  # noqa: S101  obtain() grouped by origin
        folder = self._path(first).parent
        with locked(folder / origin.file.name, self.listener):
            found = {want.name: ready for want in wants if (ready := self.cached(want))}
            if len(found) == len(wants):
                return found
            arrived = folder / "incoming" / origin.file.path(first.version, first.arch).rpartition("/")[2]
            self._bring(origin.file, first, arrived)
            _verify(arrived, origin.checksum, self.locate(origin.file, first.version, first.arch))
            return self._admit(wants, origin, arrived)

    def _bring(self, file: Download, want: Want, arrived: Path) -> None:
        place = self.locate(file, want.version, want.arch)
        if place.startswith(("http://", "https://")):
            with self.reach.client() as client:
                download(place, arrived, reach=self.reach, client=client, listener=self.listener, label=f"{want.name} {want.version}")
            return
        if not Path(place).is_file():
            raise UnavailableError(f"the mirror has no file {place}")
        shutil.copyfile(place, records.private_directory(arrived.parent) / arrived.name)

    def _admit(self, wants: list[Want], origin: _Origin, arrived: Path) -> dict[str, Artifact]:
        folder = self._path(wants[0]).parent
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack.") as name:
            parts = {want: Path(name) / want.name for want in wants}
            if origin.file.is_archive:
                archive.extract(arrived, {origin.file.member(w.name, w.version, w.arch): path for w, path in parts.items()})
                arrived.unlink()
            else:
                arrived.replace(parts[wants[0]])
            return {
                want.name: self._artifact(want, origin, records.admit(path, self._path(want), origin=origin.describe(want)))
                for want, path in parts.items()
            }

    def _origin(self, want: Want) -> _Origin | None:
        for file in downloads_of(want.name):
            published = file.checksums.get((want.version, want.arch))
            pinned = self.pins.get(file.url(want.version, want.arch))
            if published or pinned:
                return _Origin(file=file, checksum=published or pinned, pinned=published is None)  # type: ignore[arg-type]  # one of them is there
        return None

    def _unpinned(self, want: Want) -> Problem:
        known = sorted({v for file in downloads_of(want.name) for v, arch in file.checksums if arch == want.arch})
        option = f"--kubernetes {want.version}" if want.component == "kubernetes" else f"--component {want.component}={want.version}"
        return Problem(
            where=want.name,
            what=f"no checksum is known for {want.component} {want.version} {want.arch}" + (f" (known: {', '.join(known)})" if known else ""),
            hint=f"To pin the published ones: invoke artifacts.pin {option}",
        )

    def _path(self, want: Want) -> Path:
        return self.cache / self.kind / want.folder / want.name

    def _artifact(self, want: Want, origin: _Origin, record: records.Record) -> Artifact:
        return artifact(want, self._path(want), record, self.kind, "pinned, trusted on first use" if origin.pinned else "published checksum")


def _verify(arrived: Path, checksum: Checksum, place: str) -> None:
    found = records.digest(arrived, checksum.algorithm)
    if found == checksum.value:
        return
    with arrived.open("rb") as file:
        is_page = file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html"))
    kept = records.quarantine(arrived)
    why = " (it is an HTML page: a proxy or login page answered in the file's place)" if is_page else ""
    raise ChecksumError(
        f"{place}: wrong {checksum.algorithm}{why}: expected {checksum.value}, got {found}",
        hint=f"The file was moved to {kept} and is never used. Run the command again; if it stays wrong, distrust that server.",
    )
