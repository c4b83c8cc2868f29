"""A cluster's life in one piece: 1 → 3 → 5 → 3 masters, the first-listed one on a new machine on the way, while a client never stops writing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import pytest

from kbootstrap import kubeconfig
from kbootstrap import lab as labs
from kbootstrap.engine import etcd_status, node_remove
from kbootstrap.engine.node_asked import Asked
from kbootstrap.engine.node_leave import Wish
from kbootstrap.errors import ConnectError, InventoryError, PreflightError
from kbootstrap.tasks import _trust
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.etcd import inside, masters, starts, voters
from tests.lab.load import Load, loading
from tests.lab.test_failover import opened
from tests.lab.test_node import killed_behind

pytestmark = pytest.mark.lab

_NEW_KEYS = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh"
_API_BACK = "for i in $(seq 100); do systemctl is-active --quiet kube-apiserver && exit 0; sleep 0.5; done; exit 1"


@pytest.fixture(scope="module")
def years(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbyear", masters=5, workers=1) as found:
        yield found


def voters_known(cluster: Cluster) -> list[str]:
    return sorted(each.name for each in etcd_status.status(cluster.request()).known)


@contextmanager
def nobody_notices(cluster: Cluster, hosts: Collection[str]) -> Iterator[Load]:
    """A client of the worker's endpoint loses nothing, and no etcd and no API server of *hosts* starts anew."""
    began = starts(cluster, hosts)
    with opened(cluster) as there, loading(there.on("w1"), cluster.folder.admin_conf) as load:
        yield load
    assert load.lost == [], f"{load}\n{load.lost}"
    assert load.made > 100, str(load)
    assert starts(cluster, hosts) == began


def remove(cluster: Cluster, *names: str) -> list[str]:
    return list(node_remove.remove(cluster.request(), Wish(asked=Asked(names=names))))


@pytest.mark.long(seconds=420)
def test_one_three_five_three_and_a_new_first_master(years: Cluster, record_testsuite_property: Callable[[str, object], None]) -> None:
    full = years.folder.cluster_yml.read_text()
    masters(years, full, ["m1"])
    years.up()
    counts: dict[str, str] = {}
    present = ["m1"]
    for wanted in (["m1", "m2", "m3"], ["m1", "m2", "m3", "m4", "m5"]):
        masters(years, full, wanted)
        with nobody_notices(years, present) as load:
            years.up()
        counts[f"to {len(wanted)}"] = str(load)
        present = wanted
    assert voters(years) == present

    with nobody_notices(years, ["m2", "m3", "m4", "m5"]) as load:
        _replaced(years, "m1")
    counts["new m1"] = str(load)
    assert voters(years) == present
    assert years.plan().picture.plan.empty

    _even_numbers_are_refused(years)
    with nobody_notices(years, ["m1", "m2", "m3"]) as load:
        killed_behind(years, "ETCD", "m4,m5")
        assert voters_known(years) == ["m1", "m2", "m3"]
        said = remove(years, "m4", "m5")
        years.up()
    counts["to 3"] = str(load)
    gone = [line for line in full.splitlines() if line.startswith(("    m4:", "    m5:"))]
    assert [line for line in said if line.startswith("-    m")] == [f"-{line}" for line in gone]
    assert voters(years) == ["m1", "m2", "m3"]
    assert years.plan().picture.plan.empty
    record_testsuite_property("masters", counts)


def _replaced(cluster: Cluster, name: str) -> None:
    """The old machine leaves; a new one has its name and address, nothing on its disk, and a key that somebody must confirm."""
    before = cluster.folder.cluster_yml.read_text()
    said = list(node_remove.replace_host(cluster.request(), Wish(asked=Asked(names=(name,)), stays=True, command="node.replace")))
    assert any("invoke inventory.trust" in line for line in said)
    assert cluster.folder.cluster_yml.read_text() == before
    assert name not in {each.name for each in etcd_status.status(cluster.request()).known}
    selected = kubeconfig.parse(cluster.folder.admin_conf.read_text())["current-context"]
    assert not str(selected).endswith(f"-{name}"), "the operator's kubectl asks a master that is there"
    labs.bare(cluster.lab.host(name))
    inside(cluster, name, _NEW_KEYS)
    with pytest.raises(ConnectError):
        cluster.plan()
    _trust.trust(cluster.folder, yes=True)
    cluster.up()


def _even_numbers_are_refused(cluster: Cluster) -> None:
    text = cluster.folder.cluster_yml.read_text()
    with pytest.raises(InventoryError) as refused:
        remove(cluster, "m5")
    assert "etcd needs an odd number" in str(refused.value.problems[0])
    inside(cluster, "m2", "systemctl stop etcd")
    inside(cluster, "m3", "systemctl stop etcd")
    try:
        with pytest.raises(PreflightError, match="nothing was changed") as broken:
            remove(cluster, "m4", "m5")
        assert "m2" in broken.value.hint
    finally:
        for host in ("m2", "m3"):
            inside(cluster, host, "systemctl start etcd")
        for host in ("m2", "m3"):
            inside(cluster, host, _API_BACK)
    assert cluster.folder.cluster_yml.read_text() == text
    assert voters(cluster) == ["m1", "m2", "m3", "m4", "m5"]
