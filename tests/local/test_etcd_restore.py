"""The steps of a restore in a real shell with the real etcdutl: where a host's folders say that it is, after every line that may be the last."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap.model.snapshot import Snapshot
from kbootstrap.plan import etcd_restore as words
from kbootstrap.plan import etcd_restore_sh as texts
from kbootstrap.plan.etcd_restore import Phase, Restore, Seen
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(3, 0)
TARGET = Restore(spec=SPEC, sha256="ab" * 32, size=4096)
OTHER = Restore(spec=SPEC, sha256="cd" * 32, size=4096)
SIDECAR = Snapshot(
    cluster="c", cluster_id="i", etcd_cluster_id="", kubernetes="1.36.3", etcd="3.6.14", revision=7, keys=5, size=4096, sha256=TARGET.sha256
)
TIME = "20260101T000000Z"


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], str]:
    """``run(text)``: as root's shell would on a host whose data lies in *tmp_path*/data."""
    (tmp_path / "data").mkdir()

    def here(text: str) -> str:
        mine = text.replace(words.DATA, str(tmp_path / "data")).replace("-o etcd -g etcd", "")
        done = subprocess.run(["sh", "-c", mine], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return here


def seen(run: Callable[[str], str], target: Restore = TARGET) -> Seen:
    return words.seen("m1", run(texts.look(target, SPEC.host("m1"))))


def staged(data: Path, target: Restore = TARGET) -> None:
    new = data / f"restore-{target.id}" / "new" / "member"
    new.mkdir(parents=True)
    (new / "which").write_text("new")


def test_from_nothing_to_done(run: Callable[[str], str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "member").mkdir()
    (data / "member" / "which").write_text("old")
    assert seen(run).phase is Phase.NOTHING
    staged(data)
    assert seen(run).phase is Phase.STAGED
    run(f"set -e\n{texts.swap(TARGET, TIME)}")
    assert seen(run).phase is Phase.SWAPPED
    assert (data / "member" / "which").read_text() == "new"
    run(f"set -e\n{texts.finish(TARGET, TIME)}")
    found = seen(run)
    assert (found.phase, found.done, found.member) == (Phase.DONE, (TIME,), True)
    assert (data / f"before-{TIME}-{TARGET.id}" / "old" / "member" / "which").read_text() == "old"


@pytest.mark.parametrize("had_data", [True, False])
@pytest.mark.parametrize("cut", ["install -d", "mv -T $d/member", "mv -T $w/new/member"])
def test_a_swap_that_ended_at_any_line_is_finished_by_the_next(run: Callable[[str], str], tmp_path: Path, cut: str, had_data: bool) -> None:
    data = tmp_path / "data"
    if had_data:
        (data / "member").mkdir()
        (data / "member" / "which").write_text("old")
    staged(data)
    lines = texts.swap(TARGET, TIME).splitlines()
    number = next(number for number, line in enumerate(lines) if cut in line)
    run("\n".join(["set -e", *lines[: number + 1], "exit 0", *lines[number + 1 :]]))
    assert seen(run).phase is (Phase.SWAPPED if "new" in cut else Phase.SWAPPING)
    for _ in range(2):
        run(f"set -e\n{texts.swap(TARGET, TIME)}")
        assert seen(run).phase is Phase.SWAPPED
        assert (data / "member" / "which").read_text() == "new"
        assert (data / f"restore-{TARGET.id}" / "old" / "member" / "which").exists() is had_data


def test_another_restore_that_was_given_up_keeps_its_data(run: Callable[[str], str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "member").mkdir()
    staged(data, OTHER)
    run(f"set -e\n{texts.swap(OTHER, TIME)}")
    assert seen(run).others == (OTHER.id,)
    staged(data)
    run(f"set -e\n{texts.swap(TARGET, TIME)}")
    found = seen(run)
    assert (found.phase, found.others) == (Phase.SWAPPED, ())
    assert (data / f"before-{TIME}-{OTHER.id}" / "old" / "member").is_dir()


def test_a_host_without_anything_says_what_it_lacks(run: Callable[[str], str]) -> None:
    found = seen(run)
    assert any("etcdutl" in what for what in found.lacks)
    assert found.data_free > 0
    assert found.blobs_free > 0
    assert any("cluster.up" in hint for _, hint in words.refusals(TARGET, found, None))


@pytest.mark.parametrize(
    ("revision", "counted", "alone", "complete"),
    [
        (7, (words.BUMP + 7, 5), True, True),
        (7, (words.BUMP + 7, 4), True, False),
        (7, (words.BUMP + 9, 6), False, True),
        (7, (words.BUMP + 6, 5), True, False),
        (words.BUMP + 7, (2 * words.BUMP + 7, 4), True, True),  # the nameless record of the restore before
        (words.BUMP + 7, (2 * words.BUMP + 7, 3), True, False),
    ],
)
def test_every_key_is_there(revision: int, counted: tuple[int, int], alone: bool, complete: bool) -> None:
    found = words.Counted(revision=counted[0], keys=counted[1], hash="1")
    assert words.complete(found, replace(SIDECAR, revision=revision), alone=alone) is complete


@pytest.mark.parametrize(("snapshot", "host", "refused"), [("3.6.14", "3.6.1", False), ("3.7.0", "3.6.14", True), ("3.5.9", "3.6.14", False)])
def test_a_newer_database_than_the_hosts_etcd_is_refused(snapshot: str, host: str, refused: bool) -> None:
    side = replace(SIDECAR, etcd=snapshot)
    found = Seen(host="m1", phase=Phase.NOTHING, member=True, data_free=1 << 40, blobs_free=1 << 40, etcdutl=host)
    assert bool(words.refusals(TARGET, found, side)) is refused


def test_a_full_disk_is_refused_and_what_is_staged_needs_none() -> None:
    full = Seen(host="m1", phase=Phase.NOTHING, member=True, data_free=1 << 20, blobs_free=1 << 20)
    assert len(words.refusals(TARGET, full, None)) == 2
    assert words.refusals(TARGET, Seen(host="m1", phase=Phase.STAGED, member=True), None) == []


def test_todays_masters_are_part_of_what_a_restore_is() -> None:
    assert TARGET.id != OTHER.id
    assert words.identity(a_cluster(1, 0), TARGET.sha256) != TARGET.id
    assert words.begun([Seen(host="m1", phase=Phase.STAGED, member=True), Seen(host="m2", phase=Phase.SWAPPING, member=False)])
    assert not words.begun([Seen(host="m1", phase=Phase.STAGED, member=True), Seen(host="m2", phase=Phase.DONE, member=True)])


def test_what_a_member_holds() -> None:
    said = '"ClusterID" : 14765410957201216590\n"Revision" : 1000000008\n"RaftTerm" : 2\n"More" : false\n"Count" : 6\n'
    assert words.counted(f'{said}[{{"Endpoint":"x","HashKV":{{"header":{{"revision":8}},"hash":3956946528,"compact_revision":8}}}}]\n') == (
        words.Counted(revision=1_000_000_008, keys=6, hash="3956946528")
    )
    with pytest.raises(ValueError, match="etcdctl"):
        words.counted(said)
