"""Snapshots on the operator's disk: whole or not there, known again by their sidecar, and only one's own are ever removed."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap.errors import CommandError, ConnectError, PreflightError
from kbootstrap.model.snapshot import Snapshot, parse
from kbootstrap.store import snapshots

DATABASE = bytes(range(256)) * 32 + b"\n" * 512 + b"x" * 1536
WHOLE = DATABASE + hashlib.sha256(DATABASE).digest()


def sidecar(content: bytes = WHOLE, *, cluster_id: str = "c1", taken: str = "2026-01-01T00:00:00+00:00") -> Snapshot:
    sha256 = hashlib.sha256(content).hexdigest()
    cas = {"ca": ("aa", "bb")}
    return Snapshot(
        cluster="prod", cluster_id=cluster_id, etcd_cluster_id="9f", kubernetes="1.36.3", etcd="3.6.14", revision=7, keys=3, size=len(content),
        sha256=sha256, cas=cas, taken=taken, by="me@here", host="m2",
    )  # fmt: skip


def sent(content: bytes) -> Iterator[bytes]:
    """As a program's lines arrive: without their newlines; a last empty line never comes."""
    *lines, last = content.split(b"\n")
    yield from lines
    if last:
        yield last


def received(path: Path, content: bytes = WHOLE, *, seal: bool = False, about: Snapshot | None = None) -> Snapshot:
    sha256 = hashlib.sha256(content).hexdigest()
    return snapshots.receive(path, sent(content), size=len(content), sha256=sha256, about=about or sidecar(b""), seal=seal)


def kept(folder: Path, name: str, **about: str) -> Path:
    path = folder / f"{name}.db"
    received(path, about=sidecar(b"", **about))
    return path


def test_what_arrives_is_what_was_sent_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.db"
    found = received(path)
    assert path.read_bytes() == WHOLE
    assert found.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.parent.iterdir()) == [path, path.with_suffix(".json")]
    assert snapshots.check(path).sidecar == found == sidecar()


@settings(max_examples=25)  # each waits for the disk
@given(st.binary(min_size=1, max_size=3000), st.sampled_from([b"", b"\n", b"\n\n"]))
def test_any_bytes_survive_the_way_by_lines(tmp_path_factory: pytest.TempPathFactory, content: bytes, end: bytes) -> None:
    content += end
    content += b"\0" * (-len(content) % 512)
    path = tmp_path_factory.mktemp("any") / "a.db"
    received(path, content, seal=True)
    assert path.read_bytes() == content + hashlib.sha256(content).digest()


def test_a_bare_database_becomes_a_snapshot(tmp_path: Path) -> None:
    received(tmp_path / "a.db", DATABASE, seal=True)
    assert (tmp_path / "a.db").read_bytes() == WHOLE


@pytest.mark.parametrize("content", [WHOLE[:-600], WHOLE[:-512], b""])
def test_what_broke_off_is_not_kept(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CommandError, match="broke off"):
        snapshots.receive(tmp_path / "a.db", sent(content), size=len(WHOLE), sha256="", about=sidecar())
    assert list(tmp_path.iterdir()) == []


def test_what_changed_on_its_way_is_not_kept(tmp_path: Path) -> None:
    other = b"y" + DATABASE[1:]
    with pytest.raises(CommandError, match="changed on its way"):
        digest = hashlib.sha256(WHOLE).hexdigest()
        snapshots.receive(tmp_path / "a.db", sent(other + hashlib.sha256(other).digest()), size=len(WHOLE), sha256=digest, about=sidecar())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ConnectError("the connection was lost"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_whatever_ends_it_nothing_is_left(tmp_path: Path, error: BaseException) -> None:
    def lines() -> Iterator[bytes]:
        yield WHOLE[:1000]
        raise error

    with pytest.raises(type(error)):
        snapshots.receive(tmp_path / "a.db", lines(), size=len(WHOLE), sha256="", about=sidecar())
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept_and_what_another_is_writing_is_not(tmp_path: Path) -> None:
    left, others = tmp_path / ".prod-20260101T000000Z-7.db.tmp", tmp_path / ".prod2-20260101T000000Z-7.db.tmp"
    for path in (left, others):
        path.write_bytes(b"half")
    writing = tmp_path / "prod-20260102T000000Z-8.db"

    def lines() -> Iterator[bytes]:
        assert not left.exists()
        received(tmp_path / "prod-20260103T000000Z-9.db")
        with pytest.raises(CommandError, match="another run writes"):
            received(writing)
        yield from sent(WHOLE)

    snapshots.receive(writing, lines(), size=len(WHOLE), sha256=hashlib.sha256(WHOLE).hexdigest(), about=sidecar())
    assert writing.read_bytes() == WHOLE
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == [others]


def test_a_database_gets_its_name_when_its_sidecar_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, rename = list[str](), Path.replace

    def renamed(path: Path, target: Path) -> Path:
        named.append(target.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", renamed)
    received(tmp_path / "a.db")
    assert named == ["a.json", "a.db"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (WHOLE[:-100], "no whole snapshot"),
        (WHOLE[:-512], "damaged"),
        (DATABASE, "no whole snapshot"),
        (b"", "no whole snapshot"),
        (WHOLE[:5000] + b"!" + WHOLE[5001:], "damaged"),
    ],
)
def test_a_truncated_or_damaged_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    with pytest.raises(PreflightError, match=said) as refused:
        snapshots.check(path)
    assert "etcd.snapshot" in refused.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="cannot be read"):
        snapshots.check(tmp_path / "a.db")


def test_a_good_file_under_anothers_sidecar_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, "a")
    other = b"z" * 1024
    path.write_bytes(other + hashlib.sha256(other).digest())
    with pytest.raises(PreflightError, match="not the file that"):
        snapshots.check(path)


def test_a_sidecar_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert snapshots.check(kept(tmp_path, "a")).sidecar == sidecar()
    assert parse(sidecar().dump()) == sidecar()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"cas": {}}', b'{"cas": {}, "more": 1}'])
def test_anything_else_is_no_sidecar(tmp_path: Path, text: bytes) -> None:
    path = kept(tmp_path, "a")
    path.with_suffix(".json").write_bytes(text)
    with pytest.raises(PreflightError, match="damaged"):
        snapshots.check(path)


def test_the_oldest_of_this_cluster_go_and_nothing_else(tmp_path: Path) -> None:
    mine = [kept(tmp_path, f"c{n}", taken=f"2026-01-0{n}T00:00:00+00:00") for n in (3, 1, 2)]
    others = kept(tmp_path, "b", cluster_id="c2", taken="2020-01-01T00:00:00+00:00")
    damaged = kept(tmp_path, "d", taken="2020-01-01T00:00:00+00:00")
    damaged.with_suffix(".json").write_bytes(b"{")
    bare = tmp_path / "e.db"
    bare.write_bytes(WHOLE)
    assert snapshots.prune(tmp_path, "c1", 2) == [mine[1]]
    assert sorted(tmp_path.glob("*.db")) == sorted([mine[0], mine[2], others, damaged, bare])
    assert not mine[1].with_suffix(".json").exists()
    assert snapshots.prune(tmp_path, "c1", 2) == []


def test_what_the_last_upgrade_leads_back_to_stays(tmp_path: Path) -> None:
    first, second, third = (kept(tmp_path, f"c{n}", taken=f"2026-01-0{n}T00:00:00+00:00") for n in (1, 2, 3))
    assert snapshots.prune(tmp_path, "c1", 1, needed=f"/elsewhere/{first.name}") == [second]
    assert sorted(tmp_path.glob("*.db")) == [first, third]


def test_two_that_prune_at_once_do_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (kept(tmp_path, f"c{n}", taken=f"2026-01-0{n}T00:00:00+00:00") for n in (1, 2))
    listed = snapshots.known(tmp_path, "c1")
    assert snapshots.prune(tmp_path, "c1", 1) == [old]
    with monkeypatch.context() as later:
        later.setattr(snapshots, "known", lambda folder, cluster_id: listed)
        assert snapshots.prune(tmp_path, "c1", 1) == [old]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(snapshots, "sidecar_of", lambda path: path.unlink() or sidecar())
        assert snapshots.known(tmp_path, "c1") == []
    assert not new.exists()


def test_a_file_that_was_cut_short_later_is_not_counted_among_those_to_keep(tmp_path: Path) -> None:
    old, new = kept(tmp_path, "a", taken="2026-01-01T00:00:00+00:00"), kept(tmp_path, "b", taken="2026-01-02T00:00:00+00:00")
    new.write_bytes(WHOLE[:100])
    assert snapshots.prune(tmp_path, "c1", 1) == []
    assert snapshots.known(tmp_path, "c1") == [(old, replace(sidecar(), taken="2026-01-01T00:00:00+00:00"))]
