"""Building with the real go command, from the real module of the CNI plugins (seconds with a warm build cache)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from kbootstrap.catalog.releases import default_versions
from kbootstrap.errors import ArtifactError, ChecksumError, UnavailableError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.model.events import Progress
from kbootstrap.store.artifacts import fetch, gotool
from kbootstrap.store.artifacts.gomod import output_name

from .conftest import Heard

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")


def build(names: list[str], cache: Path, heard: Heard, **versions: str) -> dict[str, Artifact]:
    chosen = default_versions("1.36.3") | {name.replace("_", "-"): version for name, version in versions.items()}
    return fetch(names, chosen, "amd64", Artifacts(source=ArtifactSource.GOMOD), cache=cache, listener=heard)


@needs_go
def test_builds_what_is_asked_for_records_it_and_builds_no_second_time(cache: Path, heard: Heard) -> None:
    got = build(["loopback"], cache, heard)["loopback"]
    assert got.path.read_bytes().startswith(b"\x7fELF")
    assert (got.version, got.source, got.trust) == ("1.9.1", ArtifactSource.GOMOD, "built here, go.sum")
    assert heard.notes[0] == "artifacts: gomod builds loopback 1.9.1 (amd64)"
    assert any(isinstance(event, Progress) and event.done == event.total for event in heard.events)
    assert [path.name for path in got.path.parent.iterdir() if path.suffix != ".json"] == ["loopback"]
    record = json.loads((got.path.parent / "loopback.json").read_text())
    assert record["sha256"] == got.sha256
    assert record["extra"]["go"].startswith("go1.")
    heard.events.clear()
    assert build(["loopback"], cache, heard) == {"loopback": got}
    assert heard.events == []


@needs_go
def test_a_rebuild_must_give_the_recorded_bytes(cache: Path, heard: Heard) -> None:
    got = build(["loopback"], cache, heard)["loopback"]
    got.path.unlink()
    assert build(["loopback"], cache, heard)["loopback"] == got  # the same go, sources and flags
    got.path.unlink()
    record = got.path.parent / "loopback.json"
    record.write_text(record.read_text().replace(got.sha256, "0" * 64))
    with pytest.raises(ChecksumError, match="built other bytes than before") as caught:
        build(["loopback"], cache, heard)
    assert got.sha256 in caught.value.message


@needs_go
def test_a_damaged_binary_is_never_used(cache: Path, heard: Heard) -> None:
    got = build(["loopback"], cache, heard)["loopback"]
    with got.path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\xff")
    with pytest.raises(ChecksumError, match="changed after it was verified"):
        build(["loopback"], cache, heard)
    assert build(["loopback"], cache, heard)["loopback"] == got


@needs_go
def test_a_version_that_does_not_exist_is_told_with_gos_words(cache: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")  # so that nobody is asked
    with pytest.raises(ArtifactError, match="no source gives loopback") as caught:
        build(["loopback"], cache, heard, cni_plugins="0.0.1")
    (problem,) = caught.value.problems
    assert "go mod download cni-plugins 0.0.1 failed" in problem.what
    assert not (cache / "gomod" / "cni-plugins-0.0.1" / "module").exists()


def test_without_go_it_says_what_to_install(cache: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(ArtifactError) as caught:
        build(["loopback"], cache, heard)
    assert "go is not installed" in caught.value.problems[0].what
    assert "https://go.dev/dl/" in caught.value.hint


@needs_go
def test_a_failed_build_shows_its_last_lines_and_the_command_to_repeat(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.invalid/broken\n\ngo 1.21\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { undefined_thing() }\n")
    env = gotool.environment("amd64", cgo=False)
    with pytest.raises(UnavailableError, match="undefined: undefined_thing") as caught:
        gotool.run(["build", "-ldflags", "-s -w", "."], folder=tmp_path, env=env, what="go build broken")
    assert caught.value.hint == f"To see it all: cd {tmp_path} && GOARCH=amd64 CGO_ENABLED=0 go build -ldflags '-s -w' ."
    again = subprocess.run(["sh", "-c", caught.value.hint.removeprefix("To see it all: ")], capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "undefined_thing" in again.stderr


@needs_go
def test_what_contains_c_is_not_built_for_another_architecture(cache: Path, heard: Heard) -> None:
    other = "amd64" if gotool.native_arch() == "arm64" else "arm64"
    with pytest.raises(ArtifactError, match="no source gives runc") as caught:
        fetch(["runc"], default_versions("1.36.3"), other, Artifacts(source=ArtifactSource.GOMOD), cache=cache, listener=heard)
    assert "contains C" in caught.value.problems[0].what
    assert "libseccomp-dev" in caught.value.hint


def test_a_hanging_go_ends_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "go"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(gotool, "DEADLINE_S", 0.2)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UnavailableError, match="go build x failed"):
        gotool.run(["build"], folder=tmp_path, env=gotool.environment("amd64", cgo=False), what="go build x")


@pytest.mark.parametrize(
    ("package", "name"),
    [("go.etcd.io/etcd/server/v3", "server"), ("k8s.io/kubernetes/cmd/kubelet", "kubelet"), ("github.com/opencontainers/runc", "runc")],
)
def test_knows_what_go_calls_a_binary(package: str, name: str) -> None:
    assert output_name(package) == name
