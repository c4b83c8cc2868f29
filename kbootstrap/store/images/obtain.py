"""Bringing images to the operator's machine: what the cache has, else the registry by digest, else our own build."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.catalog.releases import ImageRow, RegistryImage, images
from kbootstrap.errors import ArtifactError, Problem, UnavailableError, UsageError
from kbootstrap.model.artifact import Image
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.model.events import Listener, Note, silent
from kbootstrap.store.artifacts import records
from kbootstrap.store.artifacts.choose import refuse_missing
from kbootstrap.store.artifacts.download import Reach
from kbootstrap.store.artifacts.source import locked
from kbootstrap.store.images import layout, program
from kbootstrap.store.images.registry import Registry


def bundle(
    names: Iterable[str],
    versions: Mapping[str, str],
    arch: str,
    artifacts: Artifacts,
    *,
    cache: Path | None = None,
    listener: Listener = silent,
    reach: Reach | None = None,
) -> dict[str, Image]:
    """Name → image as a verified tar, imported on hosts with ``ctr -n k8s.io images import``; a warm cache costs milliseconds.

    *versions* as for ``artifacts.fetch``; images that are no component have the catalog's version. ArtifactError tells what every way said.
    """
    bundler = _bundler(artifacts, arch, cache, listener, reach)
    rows = [(_row(name), _version(_row(name), versions)) for name in names]
    if artifacts.offline and not artifacts.mirror:
        refuse_missing([(f"image {row.name}", version) for row, version in rows if bundler.cached(row, version) is None], versions, arch)
    return {row.name: bundler.image(row, version) for row, version in rows}


def cached(names: Iterable[str], versions: Mapping[str, str], arch: str, artifacts: Artifacts, *, cache: Path | None = None) -> dict[str, Image]:
    """Those of *names* that ``bundle`` would return at once, without asking anybody."""
    bundler = _bundler(artifacts, arch, cache, silent, None)
    found = {name: bundler.cached(_row(name), _version(_row(name), versions)) for name in names}
    return {name: image for name, image in found.items() if image is not None}


def pull_refs(names: Iterable[str], versions: Mapping[str, str]) -> dict[str, str]:
    """Name → reference by digest, for hosts that pull for themselves (``images: pull``); ArtifactError if a digest is not known."""
    return {name: _published(_row(name), _version(_row(name), versions)).ref for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundler:
    artifacts: Artifacts
    arch: str
    cache: Path
    listener: Listener
    reach: Reach

    def image(self, row: ImageRow, version: str) -> Image:
        if ready := self.cached(row, version):
            return ready
        problems = []
        for way in [way for way in self._ways(row) if not self.artifacts.offline or way is ArtifactSource.MIRROR]:
            try:
                made = self._built(row, version) if way is ArtifactSource.GOMOD else self._pulled(way, row, version)
            except UnavailableError as error:
                problems.append(Problem(where=f"{row.name} from {way}", what=error.message, hint=error.hint))
                self.listener(Note(text=f"images: not from {way}: {row.name}: {error.message}"))
                continue
            self.listener(Note(text=f"images: {row.name} {version} from {way}"))
            return made
        hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
        raise ArtifactError(f"no source gives the image {row.name} {version}", hint=" ".join(hints), problems=problems)

    def cached(self, row: ImageRow, version: str) -> Image | None:
        return next((ready for way in self._ways(row) if (ready := self._cached(way, row, version))), None)

    def _ways(self, row: ImageRow) -> list[ArtifactSource]:
        if self.artifacts.source is not ArtifactSource.AUTO:
            return [self.artifacts.source]
        ways = [ArtifactSource.RELEASE, ArtifactSource.GOMOD]
        if row.prefer_build and shutil.which("go"):
            ways.reverse()
        return [ArtifactSource.MIRROR, *ways] if self.artifacts.mirror else ways

    def _cached(self, way: ArtifactSource, row: ImageRow, version: str) -> Image | None:
        origin = self._origin(way, row, version)
        record = records.lookup(self._path(way, row, version), origin) if origin else None
        return self._image(way, row, version, record) if record else None

    def _origin(self, way: ArtifactSource, row: ImageRow, version: str) -> dict[str, str] | None:
        if way is not ArtifactSource.GOMOD:
            return {"digest": row.registry[version].digest, "ref": row.ref(version)} if version in row.registry else None
        binary = program.cached(row, version, self.arch, cache=self.cache, listener=self.listener)
        return {"binary": binary.sha256, "ref": row.ref(version), "user": row.user} if binary else None

    def _pulled(self, way: ArtifactSource, row: ImageRow, version: str) -> Image:
        published, path = _published(row, version), self._path(way, row, version)
        base = self.artifacts.mirror if way is ArtifactSource.MIRROR else ""
        with locked(path, self.listener), self.reach.client() as client, _beside(path) as temporary:
            if ready := self._cached(way, row, version):  # another run pulled it meanwhile
                return ready
            registry = Registry(image=published, base=base, reach=self.reach, client=client, listener=self.listener)
            digest = registry.pull(temporary, ref=row.ref(version), arch=self.arch)
            return self._admit(way, row, version, temporary, digest)

    def _built(self, row: ImageRow, version: str) -> Image:
        binary = program.build(row, version, self.arch, cache=self.cache, listener=self.listener)
        path = self._path(ArtifactSource.GOMOD, row, version)
        with locked(path, self.listener), _beside(path) as temporary:
            digest = layout.pack_binary(binary.path, temporary, name=row.binary, ref=row.ref(version), arch=self.arch, user=row.user)
            return self._admit(ArtifactSource.GOMOD, row, version, temporary, digest)

    def _admit(self, way: ArtifactSource, row: ImageRow, version: str, temporary: Path, digest: str) -> Image:
        origin = self._origin(way, row, version) or {}
        record = records.admit(temporary, self._path(way, row, version), origin=origin, mode=0o644, extra={"digest": digest})
        return self._image(way, row, version, record)

    def _path(self, way: ArtifactSource, row: ImageRow, version: str) -> Path:
        return self.cache / "images" / f"{row.name}-{version}" / self.arch / f"{way}.tar"

    def _image(self, way: ArtifactSource, row: ImageRow, version: str, record: records.Record) -> Image:
        return Image(
            name=row.name,
            version=version,
            arch=self.arch,
            ref=row.ref(version),
            digest=record.extra["digest"],
            path=self._path(way, row, version),
            sha256=record.sha256,
            size=record.size,
            source=way,
            trust=record.trust(self._usual(way, row, version)),
        )

    def _usual(self, way: ArtifactSource, row: ImageRow, version: str) -> str:
        """An image that was packed here is as good as the program in it, which may have come with a bundle."""
        if way is not ArtifactSource.GOMOD:
            return "published digest"
        binary = program.cached(row, version, self.arch, cache=self.cache, listener=self.listener)
        return binary.trust if binary else "built here"


def _bundler(artifacts: Artifacts, arch: str, cache: Path | None, listener: Listener, reach: Reach | None) -> _Bundler:
    if artifacts.source is ArtifactSource.MIRROR and not artifacts.mirror:
        raise UsageError("source: mirror needs the mirror's directory or address", hint="Set artifacts.mirror in cluster.yml, or give --mirror.")
    return _Bundler(artifacts=artifacts, arch=arch, cache=cache or records.default_cache(), listener=listener, reach=reach or Reach())


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file on the same disk, removed if it was not moved to its place."""
    with tempfile.TemporaryDirectory(dir=records.private_directory(path.parent), prefix=".image.") as folder:
        yield Path(folder) / path.name


def _row(name: str) -> ImageRow:
    if name not in images():
        raise UsageError(f"no image is called «{name}»", hint=f"Known: {', '.join(images())}.")
    return images()[name]


def _version(row: ImageRow, versions: Mapping[str, str]) -> str:
    return versions.get(row.component, row.version)


def _published(row: ImageRow, version: str) -> RegistryImage:
    if version not in row.registry:
        known = ", ".join(row.registry) or "none"
        raise UnavailableError(
            f"no digest is known for the image {row.name} {version} (known: {known})",
            hint=f"Name one of these versions in cluster.yml (versions: {{{row.name}: …}}), or build it: --source gomod.",
        )
    return row.registry[version]
