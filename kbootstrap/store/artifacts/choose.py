"""Which source gives which binary: what the cache has, then each source in order until nothing is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kbootstrap.catalog.releases import ARCHITECTURES, component_of, is_version
from kbootstrap.errors import ArtifactError, OfflineError, Problem, UsageError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.model.events import Listener, Note, silent
from kbootstrap.store.artifacts.download import Reach
from kbootstrap.store.artifacts.files import Files, Pins
from kbootstrap.store.artifacts.gomod import GoModules
from kbootstrap.store.artifacts.records import default_cache
from kbootstrap.store.artifacts.source import Source, Want


def fetch(
    names: Iterable[str],
    versions: Mapping[str, str],
    arch: str,
    artifacts: Artifacts,
    *,
    cache: Path | None = None,
    listener: Listener = silent,
    pins: Pins | None = None,
    reach: Reach | None = None,
) -> dict[str, Artifact]:
    """Bring every binary of *names* to the cache, verified; a warm cache costs a few milliseconds and no network.

    *versions*: component → version (``catalog.releases.default_versions``). With ``auto``, what any source has cached for these versions is taken
    first, so that a site that comes and goes does not change the cluster's binaries. ArtifactError names for each binary what every
    source said; ChecksumError ends everything at once, since no other source makes a tampered one harmless.
    """
    wants = _wants(names, versions, arch)
    used = sources(artifacts, cache=cache or default_cache(), listener=listener, pins=pins or {}, reach=reach or Reach())
    found = _cached(used, wants)
    problems: list[Problem] = []
    for source in [source for source in used if not artifacts.offline or source.kind is ArtifactSource.MIRROR]:  # a directory then
        missing = [want for want in wants if want.name not in found]
        if not missing:
            break
        outcome = source.obtain(missing)
        found |= outcome.artifacts
        _tell(source.kind, outcome.artifacts, outcome.problems, listener)
        problems += [Problem(where=f"{p.where} from {source.kind}", what=p.what, hint=p.hint) for p in outcome.problems]
    if artifacts.offline:
        refuse_missing([(want.name, want.version) for want in wants if want.name not in found], versions, arch)
    missing_names = [want.name for want in wants if want.name not in found]
    if missing_names:
        raise _nothing_gives(missing_names, problems)
    return {want.name: found[want.name] for want in wants}


def refuse_missing(missing: Sequence[tuple[str, str]], versions: Mapping[str, str], arch: str) -> None:
    """OfflineError if anything (name, version) is *missing*: with ``offline: true`` nobody is asked for it."""
    if not missing:
        return
    problems = [Problem(where=f"{name} {version} {arch}", what="is not in the cache") for name, version in missing]
    kubernetes = versions.get("kubernetes", "")
    make = f"invoke bundle.make --kubernetes {kubernetes} --arch {arch}"
    hint = f"invoke bundle.load FILE --sha256 SUM brings them; where there is a way out: {make} writes it, and says its sum."
    raise OfflineError(f"offline: true, and {len(missing)} of what {arch} hosts need is not here; nobody was asked", problems=problems, hint=hint)


def cached(
    names: Iterable[str], versions: Mapping[str, str], arch: str, artifacts: Artifacts, *, cache: Path | None = None, pins: Pins | None = None
) -> dict[str, Artifact]:
    """Those of *names* that ``fetch`` would return at once, without asking anybody."""
    used = sources(artifacts, cache=cache or default_cache(), listener=silent, pins=pins or {}, reach=Reach())
    return _cached(used, _wants(names, versions, arch))


def sources(artifacts: Artifacts, *, cache: Path, listener: Listener, pins: Pins, reach: Reach) -> tuple[Source, ...]:
    """The sources that *artifacts* allows, in the order in which they are asked."""
    if artifacts.source is ArtifactSource.MIRROR and not artifacts.mirror:
        raise UsageError("source: mirror needs the mirror's directory or address", hint="Set artifacts.mirror in cluster.yml, or give --mirror.")
    release = Files(kind=ArtifactSource.RELEASE, base="", cache=cache, pins=pins, reach=reach, listener=listener)
    mirror = Files(kind=ArtifactSource.MIRROR, base=artifacts.mirror, cache=cache, pins=pins, reach=reach, listener=listener)
    every: tuple[Source, ...] = (*([mirror] if artifacts.mirror else []), release, GoModules(cache=cache, listener=listener))
    return tuple(source for source in every if artifacts.source in (ArtifactSource.AUTO, source.kind))


def _wants(names: Iterable[str], versions: Mapping[str, str], arch: str) -> list[Want]:
    if arch not in ARCHITECTURES:
        raise UsageError(f"no binaries are known for «{arch}»", hint=f"Known: {', '.join(ARCHITECTURES)}.")
    wants = [Want(name=name, component=component_of(name), version=versions.get(component_of(name), ""), arch=arch) for name in dict.fromkeys(names)]
    for want in wants:
        if not is_version(want.version):  # it becomes a part of paths and addresses
            raise UsageError(f"{want.component}: «{want.version}» is not a version", hint="Expected three numbers, as 1.36.3.")
    return wants


def _cached(used: Iterable[Source], wants: Iterable[Want]) -> dict[str, Artifact]:
    found: dict[str, Artifact] = {}
    for want in wants:
        ready = next((ready for source in used if (ready := source.cached(want))), None)
        if ready is not None:
            found[want.name] = ready
    return found


def _tell(kind: ArtifactSource, artifacts: Mapping[str, Artifact], problems: tuple[Problem, ...], listener: Listener) -> None:
    if artifacts:
        listener(Note(text=f"artifacts: {', '.join(artifacts)} from {kind}"))
    reasons: dict[str, list[str]] = {}
    for problem in problems:
        reasons.setdefault(f"{problem.what}. {problem.hint}".rstrip(". "), []).append(problem.where)
    for reason, names in reasons.items():
        listener(Note(text=f"artifacts: not from {kind}: {', '.join(names)}: {reason}"))


def _nothing_gives(names: list[str], problems: list[Problem]) -> ArtifactError:
    hints = list(dict.fromkeys(problem.hint for problem in problems if problem.hint))
    return ArtifactError(f"no source gives {', '.join(names)}", hint=" ".join(hints), problems=problems)
