"""Source ``gomod``: binaries built here from published Go modules, by name and version, with the ordinary go client.

The trust is Go's own: the checksum database and go.sum. What was built is recorded per module version, Go version and flags, and checked at
every later use; the same build with the same Go that gives other bytes is an error. A newer Go alone does not rebuild what is cached, since
every new binary restarts a daemon on every host.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.catalog.releases import Build, builds
from kbootstrap.errors import ChecksumError, Problem, UnavailableError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import ArtifactSource
from kbootstrap.model.events import Listener, Note, Progress
from kbootstrap.store.artifacts import gotool, records
from kbootstrap.store.artifacts.source import Outcome, Want, artifact, locked

TRUST = "built here, go.sum"
_GO_LINE = re.compile(r"^go (\S+)$", re.MULTILINE)
_STAGING = re.compile(r"^\s+k8s\.io/([a-z0-9-]+) v0\.0\.0$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoModules:
    """Builds what is wanted: one ``go build`` per component, of no more than the binaries asked for."""

    cache: Path
    listener: Listener
    kind: ArtifactSource = ArtifactSource.GOMOD

    def cached(self, want: Want) -> Artifact | None:
        """The binary if it was built before, with today's flags, and is unchanged."""
        build = builds().get(want.component)
        record = records.lookup(self._path(want), _origin(build, want)) if build else None
        return artifact(want, self._path(want), record, self.kind, TRUST) if record else None

    def obtain(self, wants: Sequence[Want]) -> Outcome:
        """Build component after component; go itself uses all cores."""
        groups: dict[tuple[str, str, str], list[Want]] = {}
        for want in wants:
            groups.setdefault((want.component, want.version, want.arch), []).append(want)
        artifacts: dict[str, Artifact] = {}
        problems: list[Problem] = []
        for group in groups.values():
            try:
                artifacts |= self._component(group)
            except UnavailableError as error:
                needs = builds()[group[0].component].needs if group[0].component in builds() else ""
                hint = f"{needs} {error.hint}".strip()
                problems += [Problem(where=want.name, what=error.message, hint=hint) for want in group]
        return Outcome(artifacts=artifacts, problems=tuple(problems))

    def _component(self, wants: list[Want]) -> dict[str, Artifact]:
        first = wants[0]
        build = builds().get(first.component)
        if build is None or any(want.name not in build.packages for want in wants):
            raise UnavailableError(f"{first.component} is not published as a Go module")
        gotool.require()
        if build.cgo and first.arch != gotool.native_arch():
            raise UnavailableError(f"{first.component} contains C and is built for {first.arch} only on such a machine")
        module = self.cache / self.kind / f"{first.component}-{first.version}" / "module"
        with locked(module, self.listener):
            found = {want.name: ready for want in wants if (ready := self.cached(want))}
            missing = [want for want in wants if want.name not in found]
            return found | self._build(build, missing, module) if missing else found

    def _build(self, build: Build, wants: list[Want], module: Path) -> dict[str, Artifact]:
        first = wants[0]
        env = gotool.environment(first.arch, cgo=build.cgo)
        what = f"go build {first.component} {first.version}"
        flags = ["-trimpath", "-buildvcs=false", "-tags", ",".join(build.tags), "-ldflags", build.ldflags(first.version)]
        self.listener(Note(text=f"artifacts: gomod builds {', '.join(w.name for w in wants)} {first.version} ({first.arch})"))
        prepare(build, first.version, module, self.listener)
        packages = {want: build.packages[want.name] for want in wants}
        with tempfile.TemporaryDirectory(dir=records.private_directory(self._path(first).parent), prefix=".build.") as out:
            gotool.run(["build", "-v", *flags, "-o", f"{out}/", *packages.values()], folder=module, env=env, what=what, listener=self.listener)
            tool = gotool.version(module, env)
            built = {want.name: self._admit(want, build, Path(out) / output_name(package), tool) for want, package in packages.items()}
        self.listener(Progress(label=what, done=len(built), total=len(built), unit="binaries"))
        return built

    def _admit(self, want: Want, build: Build, temporary: Path, tool: str) -> Artifact:
        path, origin = self._path(want), _origin(build, want)
        check_reproduced(temporary, path, origin, tool)
        return artifact(want, path, records.admit(temporary, path, origin=origin, extra={"go": tool}), self.kind, TRUST)

    def _path(self, want: Want) -> Path:
        return self.cache / self.kind / want.folder / want.name


def prepare(build: Build, version: str, module: Path, listener: Listener) -> None:
    """Make *module* a Go module that requires the component's modules at *version*; its go.sum is made once and kept.

    Kubernetes' go.mod requires its staging modules as v0.0.0 and replaces them by local folders; replacements count in the main module alone, so
    each is replaced here by the published module of the same minor and patch version.
    """
    if (module / "go.sum").exists():
        return
    env = gotool.environment("amd64", cgo=build.cgo)
    with tempfile.TemporaryDirectory(dir=records.private_directory(module.parent), prefix=".module.") as name:
        folder = Path(name)
        what = f"go mod download {build.component} {version}"
        answer = gotool.run(["mod", "download", "-json", *(f"{m}@v{version}" for m in build.modules)], folder=folder, env=env, what=what)
        manifests = [Path(path).read_text(encoding="utf-8") for path in re.findall(r'"GoMod": "([^"]+)"', answer)]
        (folder / "go.mod").write_text(_manifest(build, version, manifests), encoding="utf-8")
        imports = "".join(f'import _ "{package}"\n' for package in build.packages.values())
        (folder / "tools.go").write_text(f"//go:build tools\n\npackage build\n\n{imports}", encoding="utf-8")
        gotool.run(["mod", "tidy", "-e"], folder=folder, env=env, what=f"go mod tidy {build.component} {version}", listener=listener)
        shutil.rmtree(module, ignore_errors=True)
        shutil.copytree(folder, module)


def _manifest(build: Build, version: str, manifests: Sequence[str]) -> str:
    lines = [match.group(1) for text in manifests if (match := _GO_LINE.search(text))]
    newest = max(lines, key=lambda line: [int(n) for n in re.findall(r"\d+", line)], default="1.21")
    staged = sorted({name for text in manifests for name in _STAGING.findall(text)}) if build.staging else []
    required = "".join(f"require {module} v{version}\n" for module in build.modules)
    replaced = "".join(f"replace k8s.io/{name} => {build.replacement(name, version)}\n" for name in staged)
    return f"module kbootstrap.local/build\n\ngo {newest}\n\n{required}\n{replaced}"


def output_name(package: str) -> str:
    """What ``go build -o folder/`` calls the binary of an import path: its last part that is not a major version."""
    *rest, last = package.split("/")
    return rest[-1] if re.fullmatch(r"v\d+", last) else last


def check_reproduced(temporary: Path, path: Path, origin: dict[str, str], tool: str) -> None:
    """ChecksumError if the same sources, flags and Go once gave other bytes: somebody or something interfered."""
    before = records.read(path)
    if before is None or dict(before.origin) != origin or before.extra.get("go") != tool:
        return
    found = records.digest(temporary)
    if found != before.sha256:
        raise ChecksumError(
            f"{path.name}: {tool} built other bytes than before: recorded sha256 {before.sha256}, now {found}",
            hint=f"If the C compiler or a C library was upgraded, remove {path}.json and run the command again.",
        )


def _origin(build: Build | None, want: Want) -> dict[str, str]:
    if build is None:
        return {}
    flags = {"cgo": build.cgo, "tags": list(build.tags), "ldflags": build.ldflags(want.version)}
    fingerprint = hashlib.sha256(json.dumps(flags, sort_keys=True).encode()).hexdigest()[:16]
    return {"package": build.packages.get(want.name, ""), "version": want.version, "flags": fingerprint}
