"""Masters that come and disks that are lost on a serving cluster: whoever joins does so by ``cluster.up`` alone, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_recover, etcd_status, node_remove
from kbootstrap.engine.etcd_restore import Asked
from kbootstrap.engine.node_asked import Asked as NodesAsked
from kbootstrap.engine.node_leave import Wish
from kbootstrap.errors import ApplyError, ConnectError, PreflightError
from kbootstrap.plan.etcd_orders import MEMBER, VOTER
from kbootstrap.report.etcd import EtcdStatus
from kbootstrap.tasks import _trust
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.etcd import ctl, inside, lose, masters, starts, until, voters, whole
from tests.lab.load import loading
from tests.lab.test_failover import opened

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 600.0
_NO_PEERS = (
    "nft add table inet cut; nft 'add chain inet cut out { type filter hook output priority 0; }'; nft add rule inet cut out tcp dport 2380 drop"
)


@pytest.fixture(scope="module")
def growing(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbgrow", masters=5, workers=0) as found:
        yield found


def grown(cluster: Cluster, full: str, names: list[str]) -> None:
    """To *names* with one ``cluster.up``, while a client writes through the endpoint of m1; who was a master before is not restarted."""
    before = [line.split(":")[0].strip() for line in cluster.folder.cluster_yml.read_text().splitlines() if line.startswith("    m")]
    began = starts(cluster, before)
    masters(cluster, full, names)
    planned = {change.id for change in cluster.plan().picture.plan.changes() if change.key in (MEMBER, VOTER)}
    assert planned == {f"{name}:{key}" for name in names if name not in before for key in (MEMBER, VOTER)}
    with opened(cluster) as hosts, loading(hosts.on("m1"), cluster.folder.admin_conf) as load:
        cluster.up()
    assert load.lost == [], str(load)
    assert load.made > 100, str(load)
    assert starts(cluster, before) == began
    assert voters(cluster) == names
    assert cluster.plan().picture.plan.empty


@pytest.mark.long(seconds=240)
def test_one_becomes_three_becomes_five(growing: Cluster, record_testsuite_property: Callable[[str, object], None]) -> None:
    full = growing.folder.cluster_yml.read_text()
    masters(growing, full, ["m1"])
    growing.up()
    grown(growing, full, ["m1", "m2", "m3"])
    grown(growing, full, ["m1", "m2", "m3", "m4", "m5"])
    record_testsuite_property("etcd.members", "\n".join(etcd_status.status(growing.request()).lines()))


# --- on three masters


@pytest.fixture(scope="module")
def three(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbdisk", masters=3, workers=0) as found:
        found.up()
        yield found


@pytest.fixture
def mended(three: Cluster) -> Cluster:
    """Whole again, whatever the test before left."""
    if not whole(etcd_status.status(three.request())):
        three.up()
    until(three, whole)
    three.kubectl("apply", "-f", "-", text="{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}}")
    return three


def identity(found: EtcdStatus, host: str) -> str:
    return next(each.id for each in found.known if each.name == host)


@pytest.mark.long(seconds=60)
def test_a_master_whose_disk_is_lost_joins_anew(mended: Cluster) -> None:
    former = identity(until(mended, whole), "m2")
    others = starts(mended, ["m1", "m3"])
    lose(mended, ["m2"])
    planned = {change.id for change in mended.plan().picture.plan.changes()}
    assert planned == {f"m2:{key}" for key in (MEMBER, VOTER, "service/kube-apiserver.service")}
    with opened(mended) as hosts, loading(hosts.on("m1"), mended.folder.admin_conf) as load:
        mended.up()
    assert load.lost == [], str(load)
    assert voters(mended) == ["m1", "m2", "m3"]
    assert identity(etcd_status.status(mended.request()), "m2") != former
    assert starts(mended, ["m1", "m3"]) == others
    assert mended.plan().picture.plan.empty


@pytest.mark.long(seconds=90)
def test_a_new_machine_in_its_place_joins_as_well(mended: Cluster) -> None:
    others = starts(mended, ["m2", "m3"])
    labs.bare(mended.lab.host("m1"))
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]
    assert starts(mended, ["m2", "m3"]) == others
    assert mended.kubectl("get", "configmap", "kept", "-o", "name").strip() == "configmap/kept"


@pytest.mark.long(seconds=120)
def test_the_first_master_dies_for_good_and_another_machine_takes_its_name(mended: Cluster) -> None:
    others = starts(mended, ["m2", "m3"])
    labs.power_cut(mended.lab.host("m1"))
    wish = Wish(asked=NodesAsked(names=("m1",)), stays=True, command="node.replace")
    with pytest.raises(ConnectError, match="nothing was changed") as refused:
        list(node_remove.replace_host(mended.request(), wish))
    assert "invoke node.replace m1 --absent" in refused.value.hint
    said = list(node_remove.replace_host(mended.request(), replace(wish, absent=True)))
    assert "m1: left the cluster; nothing on it was cleaned" in said
    assert sorted(each.name for each in etcd_status.status(mended.request()).known) == ["m2", "m3"]
    labs.bare(mended.lab.host("m1"))
    _trust.trust(mended.folder, yes=True)
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]
    assert starts(mended, ["m2", "m3"]) == others
    assert mended.kubectl("get", "configmap", "kept", "-o", "name").strip() == "configmap/kept"
    assert mended.plan().picture.plan.empty


_KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from kbootstrap.engine import run
from kbootstrap.model import events
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request

kind, change, folder = sys.argv[1:]

def listen(event):
    if type(event).__name__ == kind and event.host == "m2" and event.change_id == change:
        os.kill(os.getpid(), signal.SIGKILL)

with _request.open_(Folder(root=Path(folder)), quiet=True, ask=False, fd=-1) as request:
    run.up(replace(request, listener=listen))
"""


@pytest.mark.parametrize(
    ("event", "change"),
    [
        pytest.param(event, change, marks=pytest.mark.long(seconds=60))
        for event, change in (("ChangeStarted", MEMBER), ("ChangeFinished", MEMBER), ("ChangeStarted", VOTER), ("ChangeFinished", VOTER))
    ],
)
def test_killed_while_a_member_joins_the_same_command_finishes(mended: Cluster, event: str, change: str) -> None:
    lose(mended, ["m2"])
    argv = [sys.executable, "-c", _KILLED, event, change, str(mended.folder.root)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == -9, done.stderr
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]
    assert len(etcd_status.status(mended.request()).known) == 3
    assert inside(mended, "m2", f"ls {paths.ETCD_LEARNER} {paths.ETCD_INITIAL} 2>/dev/null || true") == ""
    assert mended.plan().picture.plan.empty


@pytest.mark.long(seconds=150)
def test_who_does_not_catch_up_is_removed_again(mended: Cluster) -> None:
    """Its client port reaches the others, its peer port does not."""
    others = starts(mended, ["m1", "m3"])
    lose(mended, ["m2"])
    inside(mended, "m2", _NO_PEERS)
    try:
        with pytest.raises(ApplyError, match="m2") as failed:
            mended.up()
        said = " ".join(map(str, failed.value.problems))
        assert "did not catch up: it has not started" in said, said
        assert "no member any more" in said, said
        assert "m2" not in ctl(mended, "m1", "member list")
        assert starts(mended, ["m1", "m3"]) == others
    finally:
        inside(mended, "m2", "nft delete table inet cut")
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]


@pytest.mark.long(seconds=150)
def test_no_empty_disk_begins_a_cluster_beside_a_survivor(mended: Cluster) -> None:
    """Neither by itself nor by ``up``: two of three disks are lost, and the survivor is silent."""
    inside(mended, "m1", "systemctl stop etcd")
    lose(mended, ["m2", "m3"])
    with pytest.raises(PreflightError, match=r"m2, m3 without etcd's data, and those with it \(m1\) do not answer") as refused:
        mended.up()
    assert "etcd.recover" in refused.value.hint
    for host in ("m2", "m3"):
        assert inside(mended, host, f"ls {paths.ETCD_DATA}; systemctl is-active etcd || true").split()[-1] != "active"
        assert f"{paths.ETCD_DATA}/member" not in inside(mended, host, f"ls -d {paths.ETCD_DATA}/* 2>/dev/null || true")
    etcd_recover.recover(mended.request(), Asked())
    assert mended.kubectl("get", "configmap", "kept", "-o", "name").strip() == "configmap/kept"
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]


@pytest.mark.long(seconds=240)
def test_new_machines_beside_a_survivor_are_prepared_and_wait_for_it(mended: Cluster) -> None:
    inside(mended, "m3", "systemctl stop etcd")
    for host in ("m1", "m2"):
        labs.bare(mended.lab.host(host))
    with pytest.raises(ApplyError, match="prepared as far as etcd") as waits:
        mended.up()
    assert "etcd.recover" in waits.value.hint
    assert inside(mended, "m1", f"ls {paths.BIN}/etcdutl; ls -A {paths.ETCD_DATA}").split() == [f"{paths.BIN}/etcdutl"]
    etcd_recover.recover(mended.request(), Asked())
    mended.up()
    assert voters(mended) == ["m1", "m2", "m3"]
    assert mended.kubectl("get", "configmap", "kept", "-o", "name").strip() == "configmap/kept"
