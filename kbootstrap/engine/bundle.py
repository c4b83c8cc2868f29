"""``bundle.make``: from what a cluster needs to one file; ``bundle.load``: from the file into this machine's cache. No host is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.catalog import releases
from kbootstrap.errors import ArtifactError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.model.events import Listener, silent
from kbootstrap.store import artifacts, bundle, images
from kbootstrap.store.artifacts.files import Pins
from kbootstrap.store.bundle_header import Content
from kbootstrap.store.images import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted: *versions* as ``artifacts.fetch`` takes them, of one *arch*, from where *source* says. *cache* None: the user's own."""

    versions: Mapping[str, str]
    arch: str
    source: Artifacts
    pins: Pins
    cache: Path | None = None

    @property
    def place(self) -> Path:
        return self.cache or artifacts.default_cache()


def name(wish: Wish) -> str:
    """The bundle's usual file name."""
    return f"kubernetes-{wish.versions['kubernetes']}-{wish.arch}{bundle.SUFFIX}"


def make(wish: Wish, target: Path, listener: Listener) -> tuple[Content, str]:
    """Fetch what is not here yet, and write everything as the new file *target*; what is in it, and its sha256. Raises what ``artifacts.fetch`` does.

    Run again after an interruption it fetches only what is missing still.
    """
    reach, arch, cache = artifacts.Reach(), wish.arch, wish.cache
    found: list[tuple[str, str, Path]] = []
    binaries = artifacts.fetch(
        releases.binaries(), wish.versions, arch, wish.source, cache=cache, listener=listener, pins=wish.pins, reach=reach
    )  # fmt: skip
    found += [(each.name, each.version, each.path) for each in binaries.values()]
    packed = images.bundle(releases.images(), wish.versions, arch, wish.source, cache=cache, listener=listener, reach=reach)
    for image in packed.values():
        found.append((f"image {image.name}", image.version, image.path))
        if image.source is ArtifactSource.GOMOD:  # it is believed because of the program that is in it
            inner = _program(wish, image.name, image.version)
            found.append((inner.name, inner.version, inner.path))
    items = {item.place: (item, path) for item, path in ((bundle.item(n, v, path, wish.place), path) for n, v, path in found)}
    ordered = dict(sorted(items.items()))
    others = {component: version for component, version in wish.versions.items() if component != "kubernetes"}
    content = Content(
        kubernetes=wish.versions["kubernetes"], arch=arch, versions=others, items=tuple(item for item, _ in ordered.values())
    )  # fmt: skip
    return content, bundle.write(target, content, {place: path for place, (_, path) in ordered.items()})


def _program(wish: Wish, image: str, version: str) -> Artifact:
    found = program.cached(releases.images()[image], version, wish.arch, cache=wish.place, listener=silent)
    if found is None:
        raise ArtifactError(f"the program of the image {image} {version} is not in the cache any more", hint="Run the same command again.")
    return found


def load(source: Path, cache: Path | None, *, kubernetes: str = "", arches: tuple[str, ...] = (), sha256: str = "") -> tuple[Content, int]:
    """Bring *source* into the cache; what it holds, and how many files were new. ArtifactError, and nothing loaded, when it is for another
    version or architecture than asked (none: any)."""
    content = bundle.head(source)
    wrong = [f"Kubernetes {content.kubernetes}, and {kubernetes} is wanted"] if kubernetes not in ("", content.kubernetes) else []
    wrong += [f"binaries for {content.arch}, and hosts are {' and '.join(arches)}"] if arches and content.arch not in arches else []
    if wrong:
        asked = f"--kubernetes {kubernetes or content.kubernetes} --arch {arches[0] if arches else content.arch}"
        hint = f"Where there is a way out: invoke bundle.make {asked}. To load this one all the same: --any."
        raise ArtifactError(f"{source} holds {'; '.join(wrong)}; nothing was loaded", hint=hint)
    return bundle.load(source, cache or artifacts.default_cache(), sha256=sha256)
