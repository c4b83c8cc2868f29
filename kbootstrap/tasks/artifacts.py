"""Binaries and images on this machine: ``artifacts.fetch``, ``artifacts.list``, ``artifacts.pin``. No task here contacts a host."""

from __future__ import annotations

import json as encoder
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.catalog import releases
from kbootstrap.errors import OfflineError, UsageError
from kbootstrap.model.artifact import Artifact, Image
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks._runner import in_hand

_HELP = {
    "cluster": CLUSTER_HELP,
    "kubernetes": "a version such as 1.36.3, with the versions that belong to it, in place of a cluster's",
    "arch": "amd64 or arm64; by default those of the cluster's hosts, else amd64",
    "source": "auto, release, mirror or gomod; by default what the inventory says",
    "mirror": "a directory or http(s) address with the layout of the official sites",
    "cache": "where verified files are kept; by default the user's cache directory",
    "json": JSON_HELP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    versions: dict[str, str]
    arches: tuple[str, ...]
    artifacts: Artifacts
    cache: Path | None
    pins: dict[str, releases.Checksum]


@task(auto_shortflags=False, help=_HELP)
@reported
def fetch(
    _: Context, cluster: str = "", kubernetes: str = "", arch: str = "", source: str = "", mirror: str = "", cache: str = "", json: bool = False
) -> None:  # fmt: skip
    """Bring every binary and image that the cluster needs to this machine, verified."""
    from kbootstrap.report.live import Live
    from kbootstrap.store import artifacts, images

    wish = _wish(cluster, kubernetes, arch, source, mirror, cache)
    found: list[Artifact | Image] = []
    with Live(wording=in_hand) as live:
        reach = artifacts.Reach()
        for each in wish.arches:
            names = releases.binaries()
            found += artifacts.fetch(
                names, wish.versions, each, wish.artifacts, cache=wish.cache, listener=live, pins=wish.pins, reach=reach
            ).values()
            found += images.bundle(releases.images(), wish.versions, each, wish.artifacts, cache=wish.cache, listener=live, reach=reach).values()
    _show([_row(each) for each in found], as_json=json)


@task(auto_shortflags=False, name="list", help=_HELP)
@reported
def list_(
    _: Context, cluster: str = "", kubernetes: str = "", arch: str = "", source: str = "", mirror: str = "", cache: str = "", json: bool = False
) -> None:  # fmt: skip
    """Show every binary and image with its version, and whether it is here already; asks nobody."""
    from kbootstrap.store import artifacts, images

    wish = _wish(cluster, kubernetes, arch, source, mirror, cache)
    rows = []
    for each in wish.arches:
        here: dict[str, Artifact | Image] = {}
        here |= artifacts.cached(releases.binaries(), wish.versions, each, wish.artifacts, cache=wish.cache, pins=wish.pins)
        here |= {f"image {n}": i for n, i in images.cached(releases.images(), wish.versions, each, wish.artifacts, cache=wish.cache).items()}
        versions = {name: wish.versions[component] for name, component in releases.binaries().items()}
        versions |= {f"image {row.name}": wish.versions.get(row.component, row.version) for row in releases.images().values()}
        rows += [_row(here[n]) if n in here else {"name": n, "version": v, "arch": each, "source": "-"} for n, v in versions.items()]
    _show(rows, as_json=json)


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "kubernetes": "the version to pin; by default the cluster's",
        "component": "another component instead, as etcd=3.6.15",
        "arch": "amd64 or arm64; by default both",
        "mirror": "an https mirror to take the checksums from",
        "json": JSON_HELP,
    },
)
@reported
def pin(
    _: Context, cluster: str = "", kubernetes: str = "", component: str = "", arch: str = "", mirror: str = "", json: bool = False
) -> None:  # fmt: skip
    """Take the published checksums that the catalog lacks, over TLS, and keep them in inventory/<cluster>/pins.yml: trusted on first use."""
    from kbootstrap import inventory
    from kbootstrap.store import lock
    from kbootstrap.store.artifacts import Reach, pins

    folder = find_folder(cluster)
    spec = inventory.load(folder.cluster_yml)
    if spec.artifacts.offline:
        raise OfflineError("offline: true, and checksums are taken from the projects' own sites", hint="Pin where there is a way out; copy pins.yml.")
    name, _sign, version = component.partition("=") if component else ("kubernetes", "", kubernetes or spec.kubernetes)
    if name not in releases.default_versions("") or not releases.is_version(version):
        raise UsageError(f"«{component or version}» names no version to pin", hint="Expected --kubernetes 1.36.3 or --component etcd=3.6.15.")
    with lock.hold(folder.root, "artifacts.pin"):
        known = pins.load(folder.pins)
        taken = pins.take(name, version, _arches(arch) or releases.ARCHITECTURES, known=known, reach=Reach(), base=mirror)
        if taken:
            pins.save(folder.pins, {**known, **taken})
    if json:
        say(encoder.dumps({url: str(checksum) for url, checksum in taken.items()}, indent=1))
        return
    for url, checksum in sorted(taken.items()):
        say(f"{checksum}  {url}")
    say(f"{len(taken)} checksums in {folder.pins}, trusted on first use." if taken else f"The catalog has every checksum of {name} {version}.")


def _wish(cluster: str, kubernetes: str, arch: str, source: str, mirror: str, cache: str) -> _Wish:
    from kbootstrap import inventory
    from kbootstrap.store.artifacts import pins

    versions = releases.default_versions(kubernetes)
    arches, wanted, pinned = _arches(arch) or ("amd64",), Artifacts(), dict[str, releases.Checksum]()
    if cluster or not kubernetes:
        folder = find_folder(cluster)
        spec = inventory.load(folder.cluster_yml)
        versions = {**spec.versions, "kubernetes": kubernetes or spec.kubernetes}
        arches = _arches(arch) or tuple(sorted({host.arch for host in spec.hosts}))
        wanted, pinned = spec.artifacts, pins.load(folder.pins)
    if source and source not in list(ArtifactSource):
        raise UsageError(f"no source is called «{source}»", hint=f"There is {', '.join(ArtifactSource)}.")
    wanted = replace(wanted, source=ArtifactSource(source or wanted.source), mirror=mirror or wanted.mirror)
    return _Wish(versions=versions, arches=arches, artifacts=wanted, cache=Path(cache) if cache else None, pins=pinned)


def _arches(arch: str) -> tuple[str, ...]:
    return (arch,) if arch else ()


def _row(found: Artifact | Image) -> dict[str, Any]:
    name = f"image {found.name}" if isinstance(found, Image) else found.name
    return {
        "name": name,
        "version": found.version,
        "arch": found.arch,
        "source": str(found.source),
        "trust": found.trust,
        "sha256": found.sha256,
        "size": found.size,
        "path": str(found.path),
    }


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say(encoder.dumps(rows, indent=1))
        return
    for row in rows:
        size = f"{row['size'] / 1e6:6.1f} MB  {row['sha256'][:12]}  {row['trust']}" if "size" in row else ""
        say(f"{row['name']:<24} {row['version']:<8} {row['arch']:<6} {row['source']:<8} {size}".rstrip())
