"""The binary inside an image that we build ourselves: from a component's Go module, or from a small program of ours."""

from __future__ import annotations

import hashlib
import tempfile
from importlib import resources
from pathlib import Path

from kbootstrap.catalog.releases import ImageRow
from kbootstrap.errors import UnavailableError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import ArtifactSource
from kbootstrap.model.events import Listener, Note
from kbootstrap.store.artifacts import gotool, records
from kbootstrap.store.artifacts.gomod import GoModules, check_reproduced
from kbootstrap.store.artifacts.source import Want, artifact, locked

TRUST = "built here from packaged source"
_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags", "-s -w")


def cached(row: ImageRow, version: str, arch: str, *, cache: Path, listener: Listener) -> Artifact | None:
    """The image's binary if it was built before and is unchanged."""
    want = _want(row, version, arch)
    if not row.source:
        return GoModules(cache=cache, listener=listener).cached(want)
    record = records.lookup(_path(want, cache), _origin(row))
    return artifact(want, _path(want, cache), record, ArtifactSource.GOMOD, TRUST) if record else None


def build(row: ImageRow, version: str, arch: str, *, cache: Path, listener: Listener) -> Artifact:
    """The image's binary, built if need be; UnavailableError if it cannot be (no go, no such module, it does not compile)."""
    want = _want(row, version, arch)
    if row.source:
        return _build_source(row, want, cache=cache, listener=listener)
    outcome = GoModules(cache=cache, listener=listener).obtain([want])
    for problem in outcome.problems:
        raise UnavailableError(problem.what, hint=problem.hint)
    return outcome.artifacts[want.name]


def _build_source(row: ImageRow, want: Want, *, cache: Path, listener: Listener) -> Artifact:
    path, origin = _path(want, cache), _origin(row)
    gotool.require()
    with locked(path, listener):
        record = records.lookup(path, origin)
        if record is None:
            listener(Note(text=f"images: go builds {row.name} ({want.arch})"))
            env = gotool.environment(want.arch, cgo=False)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build.") as name:
                folder = Path(name)
                (folder / "go.mod").write_text(f"module kbootstrap.local/{row.binary}\n\ngo 1.21\n", encoding="utf-8")
                (folder / "main.go").write_text(_text(row), encoding="utf-8")
                gotool.run(["build", *_FLAGS, "-o", row.binary, "."], folder=folder, env=env, what=f"go build {row.binary}")
                tool = gotool.version(folder, env)
                check_reproduced(folder / row.binary, path, origin, tool)
                record = records.admit(folder / row.binary, path, origin=origin, extra={"go": tool})
        return artifact(want, path, record, ArtifactSource.GOMOD, TRUST)


def _want(row: ImageRow, version: str, arch: str) -> Want:
    return Want(name=row.binary, component=row.component or row.name, version=version, arch=arch)


def _path(want: Want, cache: Path) -> Path:
    return cache / ArtifactSource.GOMOD / want.folder / want.name


def _text(row: ImageRow) -> str:
    return resources.files(__package__).joinpath(row.source).read_text(encoding="utf-8")


def _origin(row: ImageRow) -> dict[str, str]:
    return {"source": hashlib.sha256(_text(row).encode()).hexdigest(), "flags": " ".join(_FLAGS)}
