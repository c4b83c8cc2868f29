"""``cluster.status`` of a real cluster: a stopped daemon and a dead host are named, and all else is still shown."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kbootstrap import lab as labs
from kbootstrap.engine.status import status
from kbootstrap.report.status import Status
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab
_DEADLINE_S = 200.0  # a node counts as failed after 40 s without a word from its kubelet


def inside(host: labs.LabHost, *argv: str) -> None:
    done = labs.execute(host, list(argv))
    assert done.returncode == 0, done.stderr


def until(cluster: Cluster, holds: Callable[[Status], bool], what: str) -> Status:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds(found := status(cluster.request())):
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}\n" + "\n".join(found.lines())
        time.sleep(1)
    return found


def healthy(found: Status) -> bool:
    return found.healthy


def test_a_stopped_kube_proxy_is_named_with_its_host(cluster: Cluster) -> None:
    host = cluster.lab.host("w1")
    until(cluster, healthy, "healthy")
    inside(host, "systemctl", "stop", "kube-proxy")
    try:
        found = status(cluster.request())
        assert [(unit.host, unit.name) for state in found.hosts for unit in state.units if not unit.ok] == [("w1", "kube-proxy.service")]
        assert not found.healthy
        assert any("w1 inactive" in line and "journalctl -u kube-proxy.service" in line for line in found.lines())
    finally:
        inside(host, "systemctl", "start", "kube-proxy")
    until(cluster, healthy, "healthy again")


def test_a_stopped_kubelet_shows_at_once_as_a_unit_and_then_in_its_nodes_row(cluster: Cluster) -> None:
    host = cluster.lab.host("w2")
    inside(host, "systemctl", "stop", "kubelet")
    try:
        found = until(cluster, lambda seen: any(not node.ready for node in seen.nodes), "the node counts as failed")
        assert [node.name for node in found.nodes if not node.ready] == ["w2"]
        assert [(unit.host, unit.name) for state in found.hosts for unit in state.units if not unit.ok] == [("w2", "kubelet.service")]
    finally:
        inside(host, "systemctl", "start", "kubelet")
    until(cluster, healthy, "healthy again")


def test_a_master_without_its_cable_is_a_row_and_the_others_answer_for_the_cluster(cluster: Cluster) -> None:
    host = cluster.lab.host("m1")
    labs.unplug(host)
    try:
        found = until(cluster, lambda seen: any(member.leader for member in seen.members), "the others have a leader")
        assert [state.name for state in found.hosts if state.reason] == ["m1"]
        assert [member.host for member in found.members if member.reason] == ["m1"]
        assert len(found.nodes) == len(cluster.lab.hosts)
    finally:
        labs.plug(host)
    until(cluster, healthy, "healthy again")
