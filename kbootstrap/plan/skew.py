"""Kubernetes' version skew policy: which way to another version is open, from what runs now. Figures: ``skew`` in catalog/releases.yml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kbootstrap.catalog import releases
from kbootstrap.errors import Problem
from kbootstrap.plan.versions import APISERVER, KUBERNETES, Versions, minor, of, order

_NEWER = "To go back to what ran before: invoke cluster.rollback. Else name a version that is not older."


def upgrade(seen: Versions, target: str) -> tuple[Problem, ...]:
    """What keeps a cluster of which *seen* runs from *target*; nothing: the way is open."""
    if releases.minor_of(target) not in releases.minors():
        known = ", ".join(releases.minors())
        what = f"{target} is not of a minor that this version of kbootstrap installs ({known})"
        return (Problem(where="--to", what=what, hint="Flags and configuration are written for those."),)
    newer = _grouped((host, name, version) for host, name, version in _each(seen) if order(version) > order(target))
    told = [Problem(where=host, what=f"{what}, newer than {target}: a downgrade") for host, what in newer]
    return (*told[:-1], replace(told[-1], hint=_NEWER)) if told else tuple(_too_old(seen, target))


def _too_old(seen: Versions, target: str) -> Iterator[Problem]:
    """Once every API server has *target*, nothing may be older than the policy lets it. API servers themselves go one minor at a time."""
    skew = releases.skew()
    for host, name, version in _each(seen):
        apart, allowed = minor(target) - minor(version), skew[name].older
        if apart > allowed:
            ago = f"{allowed} minor{'s' if allowed > 1 else ''}"
            what = f"{name} is {version}; it may be at most {ago} older than API servers of {target}"
            next_ = f"1.{minor(version) + 1}"
            hint = f"First to a version of {next_}: invoke cluster.upgrade --to {_newest(next_)}" if name == APISERVER else "Upgrade that host first."
            yield Problem(where=host, what=what, hint=hint)


def _newest(minor_: str) -> str:
    """The newest version of a minor that the catalog has a checksum for."""
    known = {v for download in releases.downloads() if download.component == "kubernetes" for v, _ in download.checksums}
    return max((v for v in known if releases.minor_of(v) == minor_), key=order, default=f"{minor_}.x")


def rollback(seen: Versions, target: str, *, snapshot: str) -> tuple[Problem, ...]:
    """What keeps binaries from going back to *target*.

    Within a minor nothing does. To an older minor only while an API server of it still serves: then the others have just begun to write, and what
    they write the older ones can read, or the policy would not let them run together. Once all are new, etcd may hold what no older one reads.
    """
    servers = of(seen, (APISERVER,))
    lowest = minor(target)
    if any(minor(version) <= lowest for version in servers):
        return ()
    back = f'invoke cluster.down; kubernetes: "{target}" in cluster.yml; invoke cluster.up; invoke etcd.restore %s --replace'
    what = f"every API server runs {', '.join(servers)}: etcd may hold what {target} cannot read, so binaries alone cannot go back a minor"
    own = f"No snapshot of {target} is recorded. From one of your own"
    told = "What was there before the upgrade comes back from its snapshot" if snapshot else own
    hint = f"{told}, and all written since is lost: {back % (snapshot or '<file>')}"
    return (Problem(where="cluster", what=what, hint=hint),)


def not_of(seen: Versions, version: str) -> tuple[Problem, ...]:
    """What runs in another version, host by host."""
    return tuple(Problem(where=host, what=what) for host, what in _grouped(each for each in _each(seen) if each[2] != version))


def _grouped(found: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """A sentence for each host and version."""
    groups: dict[tuple[str, str], list[str]] = {}
    for host, name, version in found:
        groups.setdefault((host, version), []).append(name)
    for (host, version), names in groups.items():
        yield host, f"{', '.join(names)} run{'s' if len(names) == 1 else ''} {version}"


def _each(seen: Versions) -> Iterator[tuple[str, str, str]]:
    for host, mine in seen.items():
        for name in KUBERNETES:
            if name in mine:
                yield host, name, mine[name]
