"""etcd on real hosts: how it tells of itself, what is copied, what must not be restored, what is defragmented."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_care, etcd_recover, etcd_restore, etcd_snapshot, etcd_status, etcd_timer
from kbootstrap.engine.etcd_restore import Asked
from kbootstrap.engine.etcd_snapshot import Taken
from kbootstrap.errors import PreflightError
from kbootstrap.model.snapshot import Snapshot
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.store import snapshots
from kbootstrap.store.folder import Folder
from tests.lab.conftest import Cluster
from tests.lab.etcd import ctl, inside, until, whole

FILLS, FILL_BYTES = 30, 400_000

_LEFT = f"ls -d {paths.STATE}/.snapshot-* 2>/dev/null || echo none"
_STATE = f"systemctl show -p InvocationID --value etcd kube-apiserver; ls -A {paths.ETCD_DATA} {paths.BLOBS}"


def test_every_member_tells_how_it_is(cluster: Cluster) -> None:
    found = until(cluster, whole)
    assert sorted(each.name for each in found.known) == ["m1", "m2", "m3"]
    assert [member.version for member in found.members] == ["3.6.14"] * 3
    for member in found.members:
        assert member.latencies.fsync_s is not None
        assert len(member.latencies.round_trips_s) == 2
        assert 0 < member.in_use_bytes <= member.db_bytes < member.quota_bytes
        assert found.lag(member) < 1000
    assert json.loads(json.dumps(found.data()))["quorum"] is True


def test_a_member_that_is_down_is_a_row_and_no_more(cluster: Cluster) -> None:
    inside(cluster, "m2", "systemctl stop etcd")
    try:
        found = until(cluster, lambda seen: seen.leader is not None)
        assert [member.host for member in found.members if member.reason] == ["m2"]
        assert "inactive" in next(member.unit for member in found.members if member.host == "m2")
    finally:
        inside(cluster, "m2", "systemctl start etcd")
    until(cluster, whole)


def test_a_snapshot_is_whole_and_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    found = until(cluster, whole)
    taken = etcd_snapshot.snapshot(cluster.request(), to=tmp_path)
    about = taken.snapshot
    assert taken.path.stat().st_mode & 0o777 == taken.path.with_suffix(".json").stat().st_mode & 0o777 == 0o600
    assert snapshots.check(taken.path).sidecar == about
    assert about.revision > 100
    assert about.keys > 100
    assert about.quorum
    assert found.leader is None or about.host != found.leader.host
    assert {inside(cluster, host, _LEFT).strip() for host in ("m1", "m2", "m3")} == {"none"}
    cluster.kubectl("annotate", "namespace", "default", "kb.test/snapshot=second", "--overwrite")  # of one second and revision there is one file
    second = etcd_snapshot.snapshot(cluster.request(), to=tmp_path, keep=1)
    assert second.removed == (taken.path,)
    assert sorted(tmp_path.iterdir()) == [second.path.with_suffix(".db"), second.path.with_suffix(".json")]


def test_the_units_of_the_timer_say_a_command_that_takes_one_without_anybody_there(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, kept = tmp_path / "place", tmp_path / "kept"
    place.mkdir()
    kept.mkdir()
    (place / "inventory").symlink_to(cluster.folder.root.parent)
    monkeypatch.chdir(place)
    until(cluster, whole)
    units = etcd_timer.write(Folder(root=Path("inventory") / cluster.folder.name), to=kept)
    said = dict(line.split("=", 1) for line in units.service.read_text().splitlines() if "=" in line)
    environment = {"HOME": os.environ["HOME"], "USER": said["User"], "PATH": "/usr/sbin:/usr/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = shlex.split(said["ExecStart"])
    done = subprocess.run(
        argv, cwd=said["WorkingDirectory"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (taken,) = kept.glob("*.db")
    assert snapshots.check(taken).sidecar is not None


@pytest.fixture(scope="module")
def kept(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """A good snapshot, to be copied and spoiled."""
    until(cluster, whole)
    return etcd_snapshot.snapshot(cluster.request(), to=tmp_path_factory.mktemp("kept"))


def _truncated(path: Path, about: Snapshot) -> None:
    del about
    path.write_bytes(path.read_bytes()[:-4096])


def _damaged(path: Path, about: Snapshot) -> None:
    del about
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _foreign(path: Path, about: Snapshot) -> None:
    snapshots.describe(path, replace(about, cluster_id="00000000-0000-0000-0000-000000000000"))


def _wrong_ca(path: Path, about: Snapshot) -> None:
    snapshots.describe(path, replace(about, cas={**about.cas, "ca": ("00" * 32,)}))


def _sealed_by_another(path: Path, about: Snapshot) -> None:
    snapshots.describe(path, replace(about, sealed_by=("00" * 8,)))


def _unknown(path: Path, about: Snapshot) -> None:
    del about
    path.with_suffix(".json").unlink()


def _as_it_is(path: Path, about: Snapshot) -> None:
    del path, about


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncated, "damaged|no whole"),
        (_damaged, "damaged"),
        (_foreign, "of another cluster"),
        (_wrong_ca, "under another ca"),
        (_sealed_by_another, "a key that this PKI does not have"),
        (_unknown, "no sidecar"),
        (_as_it_is, "has a quorum"),
    ],
)
def test_what_must_not_be_restored_is_refused_and_changes_nothing(
    cluster: Cluster, kept: Taken, tmp_path: Path, spoil: Callable[[Path, Snapshot], None], said: str
) -> None:
    path = tmp_path / kept.path.name
    for each in (kept.path, kept.path.with_suffix(".json")):
        shutil.copy(each, tmp_path)
    before = {host: inside(cluster, host, _STATE) for host in ("m1", "m2", "m3")}
    spoil(path, kept.snapshot)
    with pytest.raises(PreflightError, match=said) as refused:
        etcd_restore.restore(cluster.request(), path, Asked())
    assert refused.value.hint
    assert {host: inside(cluster, host, _STATE) for host in before} == before


def test_there_is_nothing_to_recover_while_there_is_a_quorum(cluster: Cluster) -> None:
    until(cluster, whole)
    with pytest.raises(PreflightError, match="has a quorum"):
        etcd_recover.recover(cluster.request(), Asked())


def test_defragmenting_gives_back_what_was_deleted_and_the_leader_comes_last(cluster: Cluster) -> None:
    ask = etcdctl(inventory.load(cluster.folder.cluster_yml).host("m1"))
    put = f"head -c {FILL_BYTES} /dev/zero | tr '\\0' x | {ask} put /fill/$i >/dev/null"
    inside(cluster, "m1", f"for i in $(seq {FILLS}); do {put} || exit 1; done; {ask} del /fill/ --prefix >/dev/null")
    revision = ctl(cluster, "m1", "get /fill/ -w fields").split('"Revision" : ')[1].split()[0]
    ctl(cluster, "m1", f"compact {revision} --physical")
    found = until(cluster, whole)
    last = found.leader.host if found.leader else ""
    won = list(etcd_care.defrag(cluster.request()))
    assert sorted(each.host for each in won) == ["m1", "m2", "m3"]
    assert won[-1].host == last
    assert all(each.before - each.after > FILLS * FILL_BYTES // 2 for each in won), won
    assert whole(etcd_status.status(cluster.request()))
