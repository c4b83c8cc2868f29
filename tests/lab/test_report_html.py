"""``report.html`` of a real cluster: all that is there is on the page, and what breaks is what it begins with."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kbootstrap import lab as labs
from kbootstrap.engine import report
from kbootstrap.report.html import data, page, verdict
from kbootstrap.report.html.view import State, View
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab
_DEADLINE_S = 200.0


def until(cluster: Cluster, holds: Callable[[View], bool], what: str) -> View:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds(found := report.collect(cluster.request())):
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}\n{data(found)['issues']}"
        time.sleep(1)
    return found


def sound(view: View) -> bool:
    return not any(issue["grave"] for issue in data(view)["issues"])


def test_a_cluster_that_is_well_has_a_page_that_says_so(cluster: Cluster) -> None:
    view = until(cluster, sound, "nothing grave")
    assert verdict(view).state in {State.OK, State.WARN}
    found = data(view)
    proven = {cell["state"] for cell in found["matrix"]["cells"]}
    assert proven == {State.OK, State.NONE}
    text = page(view)
    leader = next(member.host for member in view.status.members if member.leader) if view.status else ""
    assert f"leader {leader}" in text
    for host in cluster.lab.hosts:
        assert f"{host.name}/kubelet-server" in text
        assert str(host.address) in text
    assert all(unit["state"].startswith("active") for host in found["status"]["hosts"] for unit in host["units"])


def test_it_begins_with_what_is_broken_and_a_dead_host_is_drawn(cluster: Cluster) -> None:
    stopped, dead = cluster.lab.host("w1"), cluster.lab.host("w2")
    assert labs.execute(stopped, ["systemctl", "stop", "kube-proxy"]).returncode == 0
    labs.unplug(dead)
    try:
        view = report.collect(cluster.request())
        assert verdict(view).state is State.BAD
        of = {(issue["where"][0], issue["section"]) for issue in data(view)["issues"] if issue["grave"]}
        assert of == {("w2", "hosts"), ("w1", "units")}
        assert {cell.target for cell in view.matrix.cells if cell.state is State.WARN} == {"w2"}
        assert 'class="card bad silent"' in page(view)
    finally:
        labs.plug(dead)
        labs.execute(stopped, ["systemctl", "start", "kube-proxy"])
    until(cluster, sound, "all is well again")
