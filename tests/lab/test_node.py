"""Hosts for years: drained, rebooted, removed, while a budget, a killed run, or an operator's own cordon is in the way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import node_asked, node_reboot, node_remove
from kbootstrap.engine.node_asked import Asked
from kbootstrap.engine.node_leave import Wish
from kbootstrap.errors import ApplyError, ConnectError, InventoryError, PreflightError
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.pods import apply, budget, cordoned, deployment, pod, running, until

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
STEPS = ("DRAIN", "STOP", "ETCD", "NODES", "CLEAN")


def inside(cluster: Cluster, host: str, text: str) -> str:
    done = labs.execute(cluster.lab.host(host), ["sh", "-c", text])
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def boot_id(cluster: Cluster, host: str) -> str:
    return inside(cluster, host, "cat /proc/sys/kernel/random/boot_id").strip()


def wish(*names: str, **more: Any) -> Wish:
    return Wish(asked=Asked(names=names), **more)


@contextmanager
def switched_on_again(cluster: Cluster, names: Sequence[str]) -> Iterator[None]:
    """A practice host that reboots itself stays off: somebody presses its button."""
    done = threading.Event()

    def press() -> None:
        while not done.wait(0.5):
            for name in names:
                if not labs.pid(cluster.lab.host(name)):
                    labs.boot(cluster.lab.host(name))

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """One master and two workers."""
    with own_hosts("kbnode", masters=1, workers=2) as found:
        found.up()
        yield found


@pytest.fixture
def web(own: Cluster) -> Iterator[Cluster]:
    """Two ready test servers, one on each worker, none cordoned."""
    for node in ("w1", "w2"):
        own.kubectl("uncordon", node)
    apply(own, deployment(own, 2))
    own.kubectl("rollout", "restart", "deployment", "web")
    own.kubectl("rollout", "status", "deployment", "web", "--timeout=90s")
    until(lambda: len(running(own)) == 2, "two test servers")
    yield own
    own.kubectl("delete", "deployment,pdb,pod", "-l", "app=web", "--wait=false", "--ignore-not-found")
    own.kubectl("delete", "deployment,pdb", "web", "--ignore-not-found")


@pytest.mark.long(seconds=60)
def test_a_budget_is_respected_and_named_until_the_deadline(web: Cluster) -> None:
    apply(web, budget(2))
    web.kubectl("cordon", "w2")  # so that no replacement can come up
    target = "w1" if running(web, "w1") else "w2"
    until(lambda: web.kubectl("get", "pdb", "web", "-o", "jsonpath={.status.currentHealthy}") == "2", "the budget knows its pods")
    with pytest.raises(ApplyError) as stuck:
        node_asked.drain(web.request(), Asked(names=(target,), deadline_s=7))
    assert any("PodDisruptionBudget default/web allows no disruption: 2 healthy, 2 needed" in problem.what for problem in stuck.value.problems)
    assert "node.uncordon" in stuck.value.hint
    assert cordoned(web, target)
    assert len(running(web)) == 2, "nothing was lost meanwhile"
    web.kubectl("uncordon", "w2")
    apply(web, budget(1))
    assert node_asked.drain(web.request(), Asked(names=("w1",), deadline_s=60))
    assert running(web, "w1") == []
    until(lambda: running(web) == ["w2", "w2"], "both run on the other worker")
    assert node_asked.uncordon(web.request(), ["w1", "w2"]) == ("w1",)
    assert node_asked.uncordon(web.request(), ["w1"]) == ()


@pytest.mark.long(seconds=15)
def test_a_pod_that_nobody_would_make_anew_is_not_lost_unasked(own: Cluster) -> None:
    apply(own, pod(own, "alone", node="w1"))
    until(lambda: "w1" in running(own, "w1"), "the pod runs")
    with pytest.raises(PreflightError, match="nothing was changed") as refused:
        node_asked.drain(own.request(), Asked(names=("w1",)))
    assert refused.value.problems[0].where == "default/alone"
    assert not cordoned(own, "w1")
    assert node_asked.drain(own.request(), Asked(names=("w1",), force=True, deadline_s=60))
    assert "NotFound" in own.kubectl("get", "pod", "alone", fails=True)
    own.kubectl("uncordon", "w1")


@pytest.mark.long(seconds=75)
def test_all_hosts_reboot_one_after_the_other(web: Cluster, record_testsuite_property: Callable[[str, object], None]) -> None:
    """The operator's own cordon outlives it; the only master goes because it is said, and last."""
    names = [host.name for host in web.lab.hosts]
    before = {name: boot_id(web, name) for name in names}
    web.kubectl("cordon", "w2")
    with pytest.raises(PreflightError, match="quorum") as refused:
        list(node_reboot.reboot(web.request(), node_reboot.Wish(asked=Asked(), every=True)))
    assert "the API stands still" in refused.value.problems[0].what
    assert {name: boot_id(web, name) for name in names} == before
    began = time.monotonic()
    with switched_on_again(web, names):
        done = list(node_reboot.reboot(web.request(), node_reboot.Wish(asked=Asked(deadline_s=60), every=True, outage=True, back_s=120)))
    record_testsuite_property("node.reboot_s", round(time.monotonic() - began, 1))
    assert [line.partition(":")[0] for line in done] == ["w1", "w2", "m1"]
    assert all(boot_id(web, name) != before[name] for name in names)
    assert (cordoned(web, "w1"), cordoned(web, "w2")) == (False, True)
    web.kubectl("uncordon", "w2")
    assert not web.up().applied


@pytest.mark.long(seconds=50)
def test_a_worker_that_is_dead_keeps_no_other_from_its_reboot(web: Cluster) -> None:
    labs.power_cut(web.lab.host("w2"))
    before = boot_id(web, "w1")
    web.kubectl("delete", "deployment", "web")
    web.kubectl("-n", "kube-system", "delete", "pdb", "coredns")  # no worker is left for the other replica: its budget is another test's subject
    try:
        with switched_on_again(web, ["w1", "m1"]), pytest.raises(ApplyError, match="not every host") as told:
            list(node_reboot.reboot(web.request(), node_reboot.Wish(asked=Asked(deadline_s=60), every=True, outage=True, back_s=120)))
        assert [problem.where for problem in told.value.problems] == ["w2"]
        assert "invoke node.reboot w2" in told.value.hint
        assert boot_id(web, "w1") != before
    finally:
        labs.boot(web.lab.host("w2"))
        web.up()


_KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from kbootstrap.engine import node_reboot, node_remove
from kbootstrap.engine.node_asked import Asked
from kbootstrap.engine.node_leave import Wish
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request

command, kind, told, folder, names = sys.argv[1:]
asked = Asked(names=tuple(names.split(",")))

def listen(event):
    if type(event).__name__ == kind and told in (getattr(event, "stage", ""), getattr(event, "change_id", "")):
        os.kill(os.getpid(), signal.SIGKILL)

with _request.open_(Folder(root=Path(folder)), quiet=True, ask=False, fd=-1) as request:
    request = replace(request, listener=listen)
    list(node_remove.remove(request, Wish(asked=asked)) if command == "remove" else node_reboot.reboot(request, node_reboot.Wish(asked=asked)))
"""


def killed(cluster: Cluster, command: str, kind: str, told: str, names: str) -> None:
    """The command ends by SIGKILL at the first event of *kind* that is about *told*, a stage or a step."""
    argv = [sys.executable, "-c", _KILLED, command, kind, told, str(cluster.folder.root), names]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -9, done.stderr


def killed_behind(cluster: Cluster, step: str, names: str) -> None:
    killed(cluster, "remove", "StageFinished", step, names)


@pytest.mark.long(seconds=60)
@pytest.mark.parametrize(("kind", "told"), [("StageFinished", "drain w2"), ("ChangeStarted", "gate/units-active")])
def test_a_reboot_that_was_killed_is_done_by_the_same_command(web: Cluster, kind: str, told: str) -> None:
    """Emptied and not yet rebooted; or back, and its pods not yet allowed."""
    with switched_on_again(web, ["w2"]):
        killed(web, "reboot", kind, told, "w2")
        assert cordoned(web, "w2")
        before = boot_id(web, "w2")
        list(node_reboot.reboot(web.request(), node_reboot.Wish(asked=Asked(names=("w2",)))))
    assert boot_id(web, "w2") != before
    assert not cordoned(web, "w2")
    until(lambda: len(running(web)) == 2, "both test servers")


def gone(cluster: Cluster, name: str) -> None:
    """Nothing of ours is left on the host, the API and the inventory do not know it."""
    assert "NotFound" in cluster.kubectl("get", "node", name, fails=True)
    assert inside(cluster, name, f"ls -d {paths.LEDGER} {paths.BIN}/kubelet /etc/kubernetes 2>/dev/null || echo none").strip() == "none"
    assert name not in {host.name for host in inventory.load(cluster.folder.cluster_yml).hosts}


@pytest.mark.long(seconds=45)
def test_a_worker_leaves_and_comes_again(web: Cluster) -> None:
    text = web.folder.cluster_yml.read_text()
    line = next(line for line in text.splitlines(keepends=True) if line.startswith("    w2:"))
    said = list(node_remove.remove(web.request(), wish("w2")))
    assert f"-{line.rstrip()}" in said
    assert web.folder.cluster_yml.read_text() == text.replace(line, "")
    gone(web, "w2")
    until(lambda: running(web) == ["w1", "w1"], "its pods run elsewhere")
    assert list(node_remove.remove(web.request(), wish("w2"))) == ["w2: is not in cluster.yml any more, nothing to do"]
    outcome = web.up()
    assert {change.host for change in outcome.picture.plan.changes()} <= {"m1", "w1"}
    assert web.plan().picture.plan.empty
    web.folder.cluster_yml.write_text(text)
    assert web.up().applied


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.long(seconds=35)) for step in STEPS])
def test_killed_behind_a_step_the_same_command_finishes(web: Cluster, step: str) -> None:
    text = web.folder.cluster_yml.read_text()
    killed_behind(web, step, "w2")
    assert web.folder.cluster_yml.read_text() == text
    list(node_remove.remove(web.request(), wish("w2")))
    gone(web, "w2")
    web.folder.cluster_yml.write_text(text)
    assert web.up().applied


@pytest.mark.long(seconds=20)
def test_the_last_master_does_not_leave(own: Cluster) -> None:
    before = own.folder.cluster_yml.read_text()
    with pytest.raises(InventoryError) as refused:
        list(node_remove.remove(own.request(), wish("m1")))
    assert "masters: none given" in str(refused.value.problems[0])
    with pytest.raises(PreflightError, match="no master would be left"):
        list(node_remove.replace_host(own.request(), wish("m1", stays=True)))
    assert own.folder.cluster_yml.read_text() == before


@pytest.mark.long(seconds=95)
def test_a_worker_that_is_dead_for_good_leaves_unseen(web: Cluster) -> None:
    text = web.folder.cluster_yml.read_text()
    labs.power_cut(web.lab.host("w2"))
    try:
        with pytest.raises(ConnectError, match="nothing was changed") as refused:
            list(node_remove.remove(web.request(), wish("w2")))
        assert "--absent" in refused.value.hint
        said = list(node_remove.remove(web.request(), wish("w2", absent=True)))
        assert "w2: left the cluster; nothing on it was cleaned" in said
        until(lambda: running(web) == ["w1", "w1"], "its pods run elsewhere")
    finally:
        labs.boot(web.lab.host("w2"))
        web.folder.cluster_yml.write_text(text)
        web.up()


@pytest.mark.long(seconds=90)
def test_a_worker_that_is_killed_for_good_costs_its_pods_the_time_that_is_set(
    web: Cluster, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """By default that would be 340 s, more than this waits."""
    path = web.folder.cluster_yml
    if "node_failure" not in path.read_text():
        path.write_text(path.read_text().replace("hosts:\n", "node_failure: {status_period_s: 2, grace_s: 16, evict_s: 4}\nhosts:\n", 1))
        web.up()
    web.kubectl("rollout", "restart", "deployment", "web")
    web.kubectl("rollout", "status", "deployment", "web", "--timeout=90s")
    until(lambda: sorted(running(web)) == ["w1", "w2"], "one on each worker")
    began = time.monotonic()
    labs.power_cut(web.lab.host("w2"))
    try:
        until(lambda: running(web, "w1") == ["w1", "w1"], "both run on the one that is left")
        record_testsuite_property("node_failure_s", {"set": 16 + 4, "took": round(time.monotonic() - began, 1)})
    finally:
        labs.boot(web.lab.host("w2"))
