"""Air gap: everything a version needs as one file, ``bundle.make``, and into the cache of a machine without a way out, ``bundle.load``."""

from __future__ import annotations

import json as encoder
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks._runner import in_hand
from kbootstrap.tasks.artifacts import _wish

if TYPE_CHECKING:
    from kbootstrap.store.bundle_header import Content

_HELP = {"cluster": CLUSTER_HELP, "cache": "where verified files are kept; by default the user's cache directory", "json": JSON_HELP}


@task(
    auto_shortflags=False,
    help=_HELP
    | {
        "kubernetes": "a version such as 1.36.3, with the versions that belong to it, in place of a cluster's",
        "arch": "amd64 or arm64; by default that of the cluster's hosts, else amd64",
        "source": "auto, release, mirror or gomod; by default what the inventory says",
        "mirror": "a directory or http(s) address with the layout of the official sites",
        "to": "the new file to write; by default kubernetes-VERSION-ARCH.kbbundle",
    },
)
@reported
def make(
    _: Context, cluster: str = "", kubernetes: str = "", arch: str = "", source: str = "", mirror: str = "", cache: str = "", to: str = "",
    json: bool = False,
) -> None:  # fmt: skip
    """Write every binary and image of a version for an architecture into one file, with their checksums. Asks no host."""
    from kbootstrap.engine import bundle
    from kbootstrap.report.live import Live
    from kbootstrap.store import files

    found = _wish(cluster, kubernetes, arch, source, mirror, cache)
    if len(found.arches) > 1:
        raise UsageError(f"the hosts are {' and '.join(found.arches)}, a bundle is for one of them", hint=f"Once for each: --arch {found.arches[0]}.")
    wish = bundle.Wish(versions=found.versions, arch=found.arches[0], source=found.artifacts, pins=found.pins, cache=found.cache)
    target = Path(to) if to else Path(bundle.name(wish))
    files.refuse_unfit(target, option="--to", taken="A bundle replaces nothing: say another file with --to.")
    with Live(wording=in_hand) as live:
        content, sha256 = bundle.make(wish, target, live)
    _show(content, {"path": str(target), "sha256": sha256, "size": content.size}, as_json=json)
    if not json:
        say(f"{target}: {content.size / 1e6:.1f} MB, sha256 {sha256}")
        say(f"On the other machine: invoke bundle.load {target.name} --sha256 {sha256}")


@task(
    auto_shortflags=False,
    positional=["file"],
    help=_HELP
    | {
        "file": "what bundle.make wrote",
        "kubernetes": "refuse a bundle for another version; by default the cluster's, if there is one",
        "arch": "refuse a bundle for another architecture; by default those of the cluster's hosts",
        "sha256": "the file's own checksum, as bundle.make printed it: for what no project publishes as it is, the only evidence",
        "any": "load it whatever version and architecture it is for",
    },
)
@reported
def load(
    _: Context, file: str, cluster: str = "", kubernetes: str = "", arch: str = "", sha256: str = "", cache: str = "", any: bool = False,
    json: bool = False,
) -> None:  # fmt: skip
    """Verify a bundle as a whole and bring it into this machine's cache. Asks nobody."""
    from kbootstrap.engine import bundle

    version, arches = ("", ()) if any else _asked(cluster, kubernetes, arch)
    content, new = bundle.load(Path(file), Path(cache) if cache else None, kubernetes=version, arches=arches, sha256=sha256)
    _show(content, {"new": new}, as_json=json)
    if not json:
        say(f"{new} of {len(content.items)} files were new, all are verified: Kubernetes {content.kubernetes} for {content.arch}")
        say("With «artifacts: {offline: true}» in cluster.yml nothing else is asked for: invoke cluster.plan")


def _asked(cluster: str, kubernetes: str, arch: str) -> tuple[str, tuple[str, ...]]:
    """What the options say, and for what they do not say the cluster, where one is named or is the only one."""
    from kbootstrap import inventory

    arches = (arch,) if arch else ()
    if kubernetes and arch and not cluster:
        return kubernetes, arches
    try:
        spec = inventory.load(find_folder(cluster).cluster_yml)
    except UsageError:
        if cluster:
            raise
        return kubernetes, arches
    return kubernetes or spec.kubernetes, arches or tuple(sorted({host.arch for host in spec.hosts}))


def _show(content: Content, more: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        items = [{name: value for name, value in asdict(each).items() if name not in ("origin", "extra", "mode")} for each in content.items]
        say(
            encoder.dumps(
                {**more, "kubernetes": content.kubernetes, "arch": content.arch, "versions": dict(content.versions), "items": items}, indent=1
            )
        )
        return
    for each in content.items:
        say(f"{each.name:<24} {each.version:<8} {each.size / 1e6:7.1f} MB  {each.sha256[:12]}  {each.place}")
