"""etcd's loss and recovery on real hosts: what is copied, what is refused, and everything back after two of three disks are gone."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_care, etcd_recover, etcd_restore, etcd_snapshot, etcd_status
from kbootstrap.engine.etcd_restore import Asked
from kbootstrap.engine.etcd_snapshot import Taken
from kbootstrap.engine.run import Request
from kbootstrap.errors import PreflightError
from kbootstrap.model.events import Event, StageFinished
from kbootstrap.model.snapshot import Snapshot
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.plan.etcd_restore import BUMP
from kbootstrap.report.etcd import EtcdStatus
from kbootstrap.store import snapshots
from tests.lab.conftest import Cluster, OwnHosts

REPOSITORY = Path(__file__).parents[2]
KEYS, OBJECTS, BATCH = 1000, 20, 100
FILLS, FILL_BYTES = 30, 400_000
STEPS = ("UPLOAD", "STAGE", "STOP", "SWAP", "ETCD", "KEYS", "CONTROL_PLANE", "CONTROLLERS", "OBJECTS", "FINISH")
RECOVERED_S = 600.0  # the aim is 120 s; a busy machine must not fail it

_LEFT = f"ls -d {paths.STATE}/.snapshot-* 2>/dev/null || echo none"
_STATE = f"systemctl show -p InvocationID --value etcd kube-apiserver; ls -A {paths.ETCD_DATA} {paths.BLOBS}"


def inside(cluster: Cluster, host: str, text: str) -> str:
    done = labs.execute(cluster.lab.host(host), ["sh", "-c", text])
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def ctl(cluster: Cluster, host: str, arguments: str) -> str:
    return inside(cluster, host, f"{etcdctl(inventory.load(cluster.folder.cluster_yml).host(host))} {arguments}")


def until(cluster: Cluster, holds: Callable[[EtcdStatus], bool]) -> EtcdStatus:
    end = time.monotonic() + 120
    while not holds(found := etcd_status.status(cluster.request())):
        assert time.monotonic() < end, "\n".join(found.lines())
        time.sleep(0.5)
    return found


def whole(found: EtcdStatus) -> bool:
    return found.ok and len(found.following) == len(found.members)


# --- on the shared cluster


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
    second = etcd_snapshot.snapshot(cluster.request(), to=tmp_path, keep=1)
    assert second.removed == (taken.path,)
    assert sorted(tmp_path.iterdir()) == [second.path.with_suffix(".db"), second.path.with_suffix(".json")]


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


# --- on three masters of their own


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """Three masters, which are workers too as far as anything runs there."""
    with own_hosts("kbetcd", masters=3, workers=0) as found:
        found.up()
        yield found


@pytest.fixture
def mended_own(own: Cluster) -> Cluster:
    """Whole again, whatever the test before left."""
    if not whole(etcd_status.status(own.request())):
        own.up()
    until(own, whole)
    return own


def canaries(cluster: Cluster, mark: str) -> None:
    """A thousand keys that no API server knows, and twenty objects, half of them sealed."""
    for first in range(0, KEYS, BATCH):
        puts = "\n".join(f"put /canary/{number:04} {mark}-{number}" for number in range(first, first + BATCH))
        host = inventory.load(cluster.folder.cluster_yml).host("m1")
        done = labs.execute(cluster.lab.host("m1"), ["sh", "-c", f"{etcdctl(host)} txn"], text=f"\n{puts}\n\n\n")
        assert done.returncode == 0, done.stderr
    items = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"canary-{number}"}, field: {"mark": mark}}
        for number in range(OBJECTS // 2)
        for kind, field in (("ConfigMap", "data"), ("Secret", "stringData"))
    ]
    cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def alive(cluster: Cluster, mark: str) -> None:
    """All of them are there, on every member and through the API."""
    for host in ("m1", "m2", "m3"):
        rows = ctl(cluster, host, "get /canary/ --prefix --consistency=s").splitlines()
        assert rows[1::2] == [f"{mark}-{number}" for number in range(KEYS)], host
    found = json.loads(cluster.kubectl("get", "configmaps,secrets", "-o", "json"))["items"]
    mine = [item for item in found if item["metadata"]["name"].startswith("canary-")]
    assert len(mine) == OBJECTS
    assert {item["data"]["mark"] for item in mine} == {mark, base64.b64encode(mark.encode()).decode()}


def late(cluster: Cluster) -> str:
    """An object that no snapshot holds; gives its resource version, as a client remembers it."""
    cluster.kubectl("create", "configmap", "late")
    return cluster.kubectl("get", "configmap", "late", "-o", "jsonpath={.metadata.resourceVersion}")


def lose(cluster: Cluster, hosts: list[str]) -> None:
    """Their disks are empty from one moment to the next."""
    for host in hosts:
        inside(cluster, host, f"systemctl kill -s KILL etcd; rm -rf {paths.ETCD_DATA}/* {paths.ETCD_DATA}/.[!.]* 2>/dev/null; true")


def learns_that_history_is_gone(cluster: Cluster, version: str) -> None:
    """A client that goes on watching where it was is told that it must list again; nothing is kept from it silently."""
    said = cluster.kubectl(
        "get", "--raw", f"/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion={version}", "--request-timeout=20s"
    )
    event = json.loads(said.splitlines()[0])
    assert event["type"] == "ERROR", said[:500]
    assert event["object"]["code"] == 410, said[:500]
    watched = ctl(
        cluster, "m1", f"--command-timeout=5s watch /canary/ --prefix --rev={version} 2>&1 & p=$!; sleep 2; kill $p 2>/dev/null; wait; true"
    )
    assert "compacted" in watched, watched


def taken_of(cluster: Cluster, mark: str) -> Taken:
    canaries(cluster, mark)
    cluster.kubectl("delete", "configmap", "late", "--ignore-not-found")
    return etcd_snapshot.snapshot(cluster.request(), keep=2)


def measured(cluster: Cluster, work: Callable[[Request], object], note: Callable[[str, object], None], name: str) -> None:
    """Do it, and note how long each step took."""
    steps: dict[str, float] = {}

    def listen(event: Event) -> None:
        if isinstance(event, StageFinished):
            steps[event.stage] = round(event.seconds, 1)

    began, cpu = time.monotonic(), time.process_time()
    work(replace(cluster.request(), listener=listen))
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    note(name, {"seconds": round(took_s, 1), "cpu_s": round(cpu_s, 2), **steps})
    assert took_s < RECOVERED_S


@pytest.mark.parametrize("run", [pytest.param(n, id=f"run{n}", marks=pytest.mark.long(seconds=75)) for n in range(10)])
def test_two_of_three_disks_are_lost(mended_own: Cluster, run: int, record_testsuite_property: Callable[[str, object], None]) -> None:
    """Even runs come back from a snapshot, up to it; odd ones from the survivor, to the last object, half of them without its help."""
    cluster, mark = mended_own, f"run{run}-{int(time.time())}"
    taken = taken_of(cluster, mark)
    version = late(cluster)
    hosts = ["m1", "m2", "m3"]
    random.Random(run).shuffle(hosts)  # noqa: S311
    time.sleep(1)  # the last object is on all three
    lose(cluster, hosts[:2])
    if run % 4 == 3:  # the survivor starts anew, finds no majority and serves nobody: only its file is left
        for host in hosts[:2]:
            inside(cluster, host, "systemctl stop etcd")
        inside(cluster, hosts[2], "systemctl kill -s KILL etcd" if run == 3 else "systemctl stop etcd")
    if run % 2:
        measured(cluster, lambda asked: etcd_recover.recover(asked, Asked()), record_testsuite_property, "etcd.recover")
        assert cluster.kubectl("get", "configmap", "late", "-o", "name").strip() == "configmap/late"
    else:
        measured(cluster, lambda asked: etcd_restore.restore(asked, taken.path, Asked()), record_testsuite_property, "etcd.restore")
        assert "NotFound" in cluster.kubectl("get", "configmap", "late", fails=True)
    alive(cluster, mark)
    learns_that_history_is_gone(cluster, version)
    found = until(cluster, whole)
    assert int(ctl(cluster, "m1", "get /canary/0000 -w json | sed 's/.*\"revision\":\\([0-9]*\\).*/\\1/'")) > BUMP
    assert len({member.cluster for member in found.members}) == 1
    assert cluster.plan().picture.plan.empty
    assert "old" in inside(cluster, hosts[2], f"ls {paths.ETCD_DATA}/before-*"), "the survivor's own data is kept"


_KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from kbootstrap.engine import etcd_recover, etcd_restore
from kbootstrap.engine.etcd_restore import Asked
from kbootstrap.model.events import StageFinished
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request

step, folder, snapshot = sys.argv[1:]

def listen(event):
    if isinstance(event, StageFinished) and event.stage == step:
        os.kill(os.getpid(), signal.SIGKILL)

with _request.open_(Folder(root=Path(folder)), quiet=True, ask=False, fd=-1) as request:
    if snapshot:
        etcd_restore.restore(replace(request, listener=listen), Path(snapshot), Asked(replace=True))
    else:
        etcd_recover.recover(replace(request, listener=listen), Asked())
"""


def killed_behind(cluster: Cluster, step: str, snapshot: str) -> None:
    argv = [sys.executable, "-c", _KILLED, step, str(cluster.folder.root), snapshot]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=RECOVERED_S, check=False)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.long(seconds=75)) for step in STEPS])
def test_killed_behind_a_step_the_same_command_finishes(mended_own: Cluster, step: str) -> None:
    """Every second step kills a restore of a serving cluster, the others a recovery from a survivor."""
    cluster, mark = mended_own, f"{step.lower()}-{int(time.time())}"
    taken = taken_of(cluster, mark)
    if STEPS.index(step) % 2:
        time.sleep(1)
        lose(cluster, ["m1", "m3"])
        killed_behind(cluster, step, "")
        if step != STEPS[-1]:  # behind it there is a quorum, and nothing to do
            assert etcd_recover.recover(cluster.request(), Asked()).applied
    else:
        killed_behind(cluster, step, str(taken.path))
        assert etcd_restore.restore(cluster.request(), taken.path, Asked(replace=True)).applied
    alive(cluster, mark)
    until(cluster, whole)
    for host in ("m1", "m2", "m3"):
        assert inside(cluster, host, f"ls -d {paths.ETCD_DATA}/restore-* {paths.BLOBS}/?* 2>/dev/null || echo none").strip() == "none"
    assert cluster.plan().picture.plan.empty
