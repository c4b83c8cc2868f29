"""What the demo does beside calling other tasks; imported only when it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kbootstrap import inventory, lab
from kbootstrap.catalog import releases
from kbootstrap.engine import prepare
from kbootstrap.errors import CommandError, UnavailableError
from kbootstrap.lab import machine
from kbootstrap.model.cluster import ArtifactSource, ClusterSpec
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.report.live import Live
from kbootstrap.store import artifacts, images
from kbootstrap.store.artifacts import gotool, pins
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import ROOT, find_folder, say
from kbootstrap.tasks._runner import in_hand

_BUILD = {"/usr/bin/gcc": "gcc", "/usr/bin/pkg-config": "pkg-config", "/usr/include/seccomp.h": "libseccomp-dev", "/usr/include/stdio.h": "libc6-dev"}


def binaries(cluster: str) -> None:
    """Every binary and image in the cache, verified, and a line that says where they come from."""
    folder = find_folder(cluster)
    spec = inventory.load(folder.cluster_yml)
    versions = prepare.versions(spec)
    arches = sorted({host.arch for host in spec.hosts})
    reach = artifacts.Reach()
    if not _here(folder, spec, versions, arches):
        _ready_source(folder, spec, versions, arches, reach)
    known = pins.load(folder.pins)
    sources: Counter[str] = Counter()
    with Live(wording=in_hand) as live:
        for arch in arches:
            files = artifacts.fetch(releases.binaries(), versions, arch, spec.artifacts, listener=live, pins=known, reach=reach)
            packed = images.bundle(releases.images(), versions, arch, spec.artifacts, listener=live, reach=reach)
            sources.update(str(each.source) for each in files.values())
            sources.update(str(each.source) for each in packed.values())
    say(f"binaries and images: {', '.join(f'{number} from {source}' for source, number in sources.items())}, verified")


def _here(folder: Folder, spec: ClusterSpec, versions: dict[str, str], arches: list[str]) -> bool:
    """Nobody needs to be asked: the cache has everything."""
    known, binaries_, images_ = pins.load(folder.pins), releases.binaries(), releases.images()
    return all(
        len(artifacts.cached(binaries_, versions, arch, spec.artifacts, pins=known)) == len(binaries_)
        and len(images.cached(images_, versions, arch, spec.artifacts)) == len(images_)
        for arch in arches
    )


def _ready_source(folder: Folder, spec: ClusterSpec, versions: dict[str, str], arches: list[str], reach: artifacts.Reach) -> None:
    """Checksums that the catalog lacks are pinned where the official sites answer; where not, what a build needs is made sure of."""
    if spec.artifacts.source in (ArtifactSource.AUTO, ArtifactSource.RELEASE):
        try:
            known = pins.load(folder.pins)
            taken: dict[str, releases.Checksum] = {}
            for component, version in versions.items():
                taken |= pins.take(component, version, arches, known=known, reach=reach)
            if taken:
                pins.save(folder.pins, known | taken)
                say(f"{len(taken)} checksums that the catalog lacks are pinned in {folder.pins}: trusted on first use")
            return
        except UnavailableError as error:
            if spec.artifacts.source is ArtifactSource.RELEASE or spec.artifacts.mirror:
                return  # the fetch itself says what is missing
            say(f"the official sites do not answer ({error}): building from Go modules, 15 minutes on two cores, once")
    if spec.artifacts.source in (ArtifactSource.AUTO, ArtifactSource.GOMOD):
        gotool.require()
        machine.install(sorted({package for path, package in _BUILD.items() if not Path(path).exists()}), say)


def left(cluster: str) -> Iterator[str]:
    """What of the cluster still lies on this machine, since nobody but its owner knows whether it is needed."""
    folder = ROOT / cluster
    if folder.is_dir() and (stays := sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())):
        yield f"{folder} keeps {', '.join(stays)}, of a cluster that is gone. When nothing of it is needed: rm -r {folder}"


def nodes(hosts: lab.Lab) -> str:
    """The cluster's nodes as kubectl shows them on the first master that answers."""
    said = ""
    for host in hosts.hosts:
        if host.role == "master":
            spec = inventory.load(hosts.folder / "cluster.yml")
            done = lab.execute(host, ["sh", "-c", f"{kubectl(spec.host(host.name))} get nodes -o wide"])
            if done.returncode == 0:
                return done.stdout.rstrip()
            said = done.stderr.strip()
    raise CommandError(f"kubectl get nodes: {said}", hint="invoke cluster.status")
