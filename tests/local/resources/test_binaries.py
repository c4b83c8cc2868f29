"""Binaries: hashed once, found out when touched, replaced or flipped, and never installed when they arrive as something else."""

from __future__ import annotations

import hashlib
import os
import stat as modes
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine.push import Push
from kbootstrap.errors import ApplyError, ArtifactError
from kbootstrap.model.events import silent
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Binary, Blob, File
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.resources import KINDS, binary
from tests.local.resources.machine import ME, Machine

STRANGE = ("with space", "it's", 'a "quoted" one', "$HOME", "a;b", "*", "back`tick`", "-rf", "über", "pipe|in|it")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def a_file(path: Path, content: bytes = b"wanted\n", **more: Any) -> File:
    return File(name=str(path), content=content, **{"owner": ME, **more})


def mode(path: Path) -> int:
    return modes.S_IMODE(path.lstat().st_mode)


def temporaries(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.name.endswith((".kb-new", ".new")) or p.name.startswith(".part-")]


def a_blob(tmp_path: Path, content: bytes) -> Blob:
    path = tmp_path / f"artifact-{len(content)}"
    path.write_bytes(content)
    return Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content), path=path)


def a_binary(path: Path, blob: Blob, **more: int) -> Binary:
    return Binary(name=str(path), blob=blob, owner=ME, **more)


@pytest.mark.parametrize("name", ["tool", *STRANGE])
def test_a_binary_is_installed_recorded_and_mended(machine: Machine, tmp_path: Path, name: str) -> None:
    blob = a_blob(tmp_path, b"#!/bin/sh\necho one\n")
    path = tmp_path / "bin" / name
    machine.up(a_binary(path, blob))
    assert (path.read_bytes(), mode(path)) == (blob.path.read_bytes(), 0o755)
    assert not list(Path(paths.BLOBS).iterdir())
    path.chmod(0o4700)
    assert [c.reason for c in machine.up(a_binary(path, blob))] == ["mode 4700, want 0755"]
    path.unlink()
    assert [c.action for c in machine.up(a_binary(path, blob))] == [Action.CREATE]


def test_a_flipped_byte_is_found_in_the_second_of_its_installation(machine: Machine, tmp_path: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    machine.up(a_binary(path, blob))
    flip(path)
    (change,) = machine.up(a_binary(path, blob))
    assert change.reason.startswith("sha256 ")


def test_deep_believes_no_record(machine: Machine, tmp_path: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    machine.up(a_binary(path, blob))
    flip(path)
    info = path.stat()
    record = f"{info.st_ino} {info.st_size} {nanoseconds(info.st_mtime_ns)} {nanoseconds(info.st_ctime_ns)} {blob.sha256} {path}\n"
    Path(paths.HASHES).write_text(record)
    assert machine.plan(a_binary(path, blob)).empty, "the record is a lie, and believed"
    assert [c.key for c in machine.plan(a_binary(path, blob), deep=True).changes()] == [str(path)]
    assert Path(paths.HASHES).read_text() == record


def nanoseconds(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(500)
        file.write(b"y")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Each run of sha256sum of a binary leaves a line here."""
    log = tmp_path / "hashed"
    log.write_text("")
    wrapped = f'sha256sum() {{ case "$*" in \'-- \'*/tool*) echo "$*" >> \'{log}\' ;; esac; command sha256sum "$@"; }}\n'
    original = binary.probe
    monkeypatch.setattr(KINDS["binary"], "probe", lambda names, **more: wrapped + original(names, **more))
    return log


def times(log: Path) -> int:
    count = len(log.read_text().splitlines())
    log.write_text("")
    return count


def test_touch_costs_one_hashing(machine: Machine, tmp_path: Path, hashed: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    both = (a_binary(path, blob), a_binary(tmp_path / "tool2", a_blob(tmp_path, b"z")))
    machine.up(*both)
    assert times(hashed) == 0, "an installation writes its own record"
    path.touch()
    for hashings in (1, 0):
        assert [machine.plan(*both).empty, times(hashed)] == [True, hashings]


@pytest.mark.parametrize(
    "damage", ["", "\0\0\xff\n\n  \n", "1 2 3\n", "{ino} {size}", "{ino} x y z\n", "{ino} ; exit 1\n", "$(exit 1) `exit 1`\n", "cut"]
)
def test_a_damaged_record_costs_one_hashing(machine: Machine, tmp_path: Path, hashed: Path, damage: str) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    machine.up(a_binary(path, blob))
    record = Path(paths.HASHES)
    text = record.read_text()[:-40] if damage == "cut" else damage.format(ino=path.stat().st_ino, size=1000) if "{" in damage else damage
    record.write_text(text)
    times(hashed)
    assert [machine.plan(a_binary(path, blob)).empty, times(hashed)] == [True, 1]
    assert [machine.plan(a_binary(path, blob)).empty, times(hashed)] == [True, 0]


def test_a_record_that_cannot_be_written_is_done_without(machine: Machine, tmp_path: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    machine.up(a_binary(path, blob))
    Path(paths.HASHES).unlink()
    Path(paths.HASHES).mkdir()
    assert machine.plan(a_binary(path, blob)).empty


def test_one_blob_at_two_paths(machine: Machine, tmp_path: Path) -> None:
    blob = a_blob(tmp_path, b"both")
    both = (a_binary(tmp_path / "etcd", blob), a_binary(tmp_path / "kb endpoint", blob))
    machine.up(*both)
    assert (tmp_path / "kb endpoint").read_bytes() == b"both"
    assert (tmp_path / "kb endpoint").stat().st_ino != (tmp_path / "etcd").stat().st_ino
    (tmp_path / "kb endpoint").unlink()
    machine.up(*both)


@pytest.mark.parametrize("what", ["directory", "link", "dangling"])
def test_what_lies_in_place_of_a_binary_is_kept_aside(machine: Machine, tmp_path: Path, what: str) -> None:
    blob, path, target = a_blob(tmp_path, b"tool"), tmp_path / "tool", tmp_path / "target"
    if what == "directory":
        path.mkdir()
        (path / "theirs").touch()
    else:
        path.symlink_to(target)
        if what == "link":
            target.write_bytes(b"tool")
    (change,) = machine.up(a_binary(path, blob))
    assert change.reason == f"is a {'directory' if what == 'directory' else 'symbolic link'}, want a file"
    assert path.read_bytes() == b"tool"
    assert not path.is_symlink()
    assert os.path.lexists(ledger_of.backup(str(path)))


def test_a_blob_that_is_there_is_not_sent_again_and_a_damaged_one_is(machine: Machine, tmp_path: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    store = Path(paths.BLOBS)
    store.mkdir(parents=True)
    (store / blob.sha256).write_bytes(blob.path.read_bytes())
    machine.plan(a_binary(path, blob))
    assert machine.seen.kinds["blob"] == {blob.sha256: True}
    for damaged in (b"x" * 999, b"y" * 1000, b""):
        (store / blob.sha256).write_bytes(damaged)
        machine.plan(a_binary(path, blob))
        assert machine.seen.kinds["blob"] == {}
    machine.up(a_binary(path, blob))


def test_an_artifact_that_changed_on_the_operators_disk_is_never_installed(machine: Machine, tmp_path: Path) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    plan = machine.plan(a_binary(path, blob))
    blob.path.write_bytes(b"y" * 1000)
    with pytest.raises(ApplyError) as caught:
        machine.apply(plan)
    assert "sha256 differs after upload" in caught.value.problems[0].what
    assert not path.exists()
    assert not temporaries(tmp_path)


@pytest.mark.parametrize("size", [0, 10])
def test_an_artifact_that_went_away_is_an_error_with_its_path(machine: Machine, tmp_path: Path, size: int) -> None:
    blob, path = a_blob(tmp_path, b"x" * 1000), tmp_path / "tool"
    push = Push(machine.pool.connection(machine.pool.hosts[0]), [blob], silent)
    blob.path.write_bytes(b"x" * size)
    with pytest.raises(ArtifactError, match=str(blob.path)):
        push.start().wait(blob.sha256)
    assert not path.exists()


def test_a_copy_of_the_first_path_is_verified(machine: Machine, tmp_path: Path) -> None:
    blob = a_blob(tmp_path, b"both")
    first, second = a_binary(tmp_path / "etcd", blob), a_binary(tmp_path / "kb-endpoint", blob)
    machine.up(first)
    plan = machine.plan(first, second)
    (tmp_path / "etcd").write_bytes(b"evil")
    Path(paths.BLOBS).rmdir()
    machine.seen.kinds["blob"] = {blob.sha256: True}  # type: ignore[index]  # somebody removes it from the store behind the look
    with pytest.raises(ApplyError):
        machine.apply(plan)
    assert not (tmp_path / "kb-endpoint").exists()
