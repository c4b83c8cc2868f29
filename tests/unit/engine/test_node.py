"""Draining through whoever answers, and who is taken for dead: hosts that answer as told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_members, node_asked, node_drain, node_remove
from kbootstrap.engine.node_asked import Asked, named
from kbootstrap.engine.node_leave import Leaving, Wish
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, AuthError, ConnectError, HostKeyError, InventoryError, KbError, PreflightError, UsageError
from kbootstrap.model.desired import Desired
from kbootstrap.model.events import silent
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.node_drain import CORDONED_BY
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.render.env import Renderer
from kbootstrap.render.etcd import peer_url
from kbootstrap.rolebook.expand import World
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import State
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, Script, changing, reading, when

INVENTORY = """\
cluster: lab
kubernetes: "1.36.3"
# later
hosts:
  masters:
    m1: {address: 10.0.0.11}
  workers:
    w1: {address: 10.0.0.21}
    w2: {address: 10.0.0.22}
"""
READY = when("/readyz", Answer(stdout=b"ok"))
OWNER = [{"kind": "ReplicaSet", "name": "x", "controller": True}]


def node(pods: Any = (), budgets: Any = (), *, cordoned: bool = False, mark: str = "", ready: str = "True") -> Answer:
    about = {
        "metadata": {"name": "w1", "annotations": {CORDONED_BY: mark} if mark else {}},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    return Answer(stdout="\n".join(json.dumps(each) for each in (about, {"items": list(pods)}, {"items": list(budgets)})).encode())


def pod(owner: Any = OWNER) -> dict[str, Any]:
    meta = {"name": "a", "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owner}
    return {"metadata": meta, "status": {"phase": "Running"}}


class Site:
    """A cluster of 3 + 1 of which each host does what its scripts say; one whose error is given cannot be reached."""

    def __init__(self, scripts: Mapping[str, list[Script]], errors: Mapping[str, KbError] | None = None) -> None:
        self.spec = a_cluster(3, 1)
        self.hosts = {host.name: FakeHost(host=host.name, scripts=scripts.get(host.name, [])) for host in self.spec.hosts}
        self._errors = errors or {}
        self.pool = Pool(self.spec.hosts, self._connect)
        folder = Folder(root=Path("inventory/lab"))
        world = World(spec=self.spec, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
        state, desired = State(cluster_id="ours"), Desired(hosts={})
        self.prepared = Prepared(folder=folder, spec=self.spec, state=state, pki=Pki(), issued=(), world=world, desired=desired)
        self.request = Request(folder=folder, listener=silent, connect=lambda prepared: self.pool)

    def _connect(self, host: Host) -> Connection:
        if host.name in self._errors:
            raise self._errors[host.name]
        return self.hosts[host.name]

    def ran(self, name: str, part: str) -> list[str]:
        return [program for program in self.hosts[name].programs if part in program]

    def leaving(self, *names: str, **more: Any) -> Leaving:
        wish = Wish(asked=Asked(names=names), **more)
        return Leaving(request=self.request, wish=wish, prepared=self.prepared, pool=self.pool, hosts=named(self.spec, names))


def test_a_dead_first_master_is_passed_over() -> None:
    site = Site({"m2": [READY, when("--field-selector", node([pod()]))]}, {"m1": ConnectError("no answer", host="m1")})
    node_drain.drain(site.prepared, site.pool, silent, ["w1"], by="node.reboot")
    (cordon,), (drained,) = site.ran("m2", " patch "), site.ran("m2", " drain ")
    assert '"kbootstrap.io/cordoned-by": "node.reboot"' in cordon
    assert "--ignore-daemonsets --delete-emptydir-data" in drained
    assert "--force" not in drained


def test_who_was_cordoned_before_keeps_the_one_who_did_it() -> None:
    site = Site({"m1": [READY, when("--field-selector", node(cordoned=True))]})
    node_drain.drain(site.prepared, site.pool, silent, ["w1"], by="node.reboot")
    assert site.ran("m1", " patch ") == []
    assert node_drain.release(site.prepared, site.pool, silent, ["w1"]) == ()
    assert site.ran("m1", " patch ") == []
    assert node_drain.uncordon(site.prepared, site.pool, silent, ["w1"]) == ("w1",)


def test_who_drains_the_last_worker_is_told_that_its_pods_have_nowhere_to_go() -> None:
    spec = a_cluster(3, 2)
    assert list(node_asked._nowhere(spec, ["w1"])) == []
    (line,) = node_asked._nowhere(spec, ["w1", "w2", "m1"])
    assert "no other worker takes their pods" in line
    assert list(node_asked._nowhere(a_cluster(3, 0), ["m1"])) == [], "masters take pods there"


def test_a_mark_of_a_killed_run_is_taken_back_or_taken_over() -> None:
    site = Site({"m1": [READY, when("--field-selector", node(cordoned=True, mark="node.reboot"))]})
    node_drain.drain(site.prepared, site.pool, silent, ["w1"])
    assert f'"{CORDONED_BY}": null' in site.ran("m1", " patch ")[0]
    assert node_drain.release(site.prepared, site.pool, silent, ["w1"]) == ("w1",)


def test_a_pod_without_a_controller_is_refused_before_anything_is_changed() -> None:
    site = Site({"m1": [READY, when("--field-selector", node([pod(owner=[])]))]})
    with pytest.raises(PreflightError, match="nothing was changed"):
        node_drain.drain(site.prepared, site.pool, silent, ["w1"])
    assert site.ran("m1", " patch ") == []
    node_drain.drain(site.prepared, site.pool, silent, ["w1"], force=True)
    assert "--force" in site.ran("m1", " drain ")[0]


def test_what_blocks_is_named_when_the_time_is_over() -> None:
    budget = {"metadata": {"name": "two", "namespace": "default"}, "spec": {"selector": {}}, "status": {"currentHealthy": 2, "desiredHealthy": 2}}
    stuck = when(" drain ", Answer(stdout=b"Cannot evict pod as it would violate the pod's disruption budget.", exit_code=1))
    site = Site({"m1": [READY, when("--field-selector", node([pod()], [budget])), stuck]})
    with pytest.raises(ApplyError, match="not drained within 1 s: w1") as told:
        node_drain.drain(site.prepared, site.pool, silent, ["w1"], deadline_s=1)
    (problem,) = told.value.problems
    assert problem.where == "w1 default/a"
    assert "PodDisruptionBudget default/two" in problem.what


@pytest.mark.parametrize(
    ("error", "more", "dead"),
    [
        (ConnectError("no answer"), {}, False),
        (ConnectError("no answer"), {"absent": True}, True),
        (AuthError("refused every key"), {"absent": True}, False),  # somebody is there
        (HostKeyError("another key"), {}, False),
        (HostKeyError("another key"), {"absent": True}, True),
        (HostKeyError("another key"), {"stays": True}, True),  # the new machine already
        (ConnectError("no answer"), {"stays": True}, False),
    ],
)
def test_who_is_taken_for_dead(error: KbError, more: Any, dead: bool) -> None:
    site = Site({"m1": [READY, when("--field-selector", node())]}, {"w1": error})
    if dead:
        assert site.leaving("w1", **more).look().dead == {"w1": error.message}
        return
    with pytest.raises(ConnectError, match="nothing was changed") as refused:
        site.leaving("w1", **more).look()
    assert "--absent" in refused.value.hint


def test_a_master_that_was_added_and_never_started_leaves_etcd_too() -> None:
    spec = a_cluster(3, 1)
    rows = [{"ID": number, "name": host.name, "peerURLs": [peer_url(host)]} for number, host in enumerate(spec.masters, 10)]
    rows[1] |= {"name": "", "isLearner": True}
    status = json.dumps([{"Endpoint": "x", "Status": {"header": {"member_id": 10, "cluster_id": 1}, "leader": 10}}]).encode()
    listed = when("member list -w json", Answer(stdout=json.dumps({"members": rows}).encode()))
    answers = {name: [READY, when("--field-selector", node()), listed, reading({"status": (0, status)})] for name in ("m1", "m3")}
    site = Site(answers)
    told = list(site.leaving("m2").told(site.leaving("m2").look()))
    assert any("its member leaves etcd" in line for line in told)
    assert etcd_members.remove(site.prepared, site.pool, "m2")
    assert len(site.ran("m1", "member remove b ")) == 1


def test_a_host_of_another_cluster_is_not_ours_to_clean() -> None:
    other = Ledger(cluster_id="theirs", cluster="prod", version="1").dump()
    site = Site({"m1": [READY, when("--field-selector", node())], "w1": [when(paths.LEDGER, Answer(stdout=other))]})
    with pytest.raises(PreflightError, match="not this cluster's") as refused:
        site.leaving("w1").look()
    assert "«prod»" in refused.value.problems[0].what


def test_some_master_stays() -> None:
    with pytest.raises(PreflightError, match="no master would be left"):
        Site({}).leaving("m1", "m2", "m3").look()


def test_names_of_no_host() -> None:
    with pytest.raises(UsageError, match="no host is called w7"):
        named(a_cluster(1, 1), ["w1", "w7"])
    with pytest.raises(UsageError, match="no host is named"):
        named(a_cluster(1, 1), [])


TEXT = """\
cluster: lab
kubernetes: "1.36.3"
hosts:
  masters:
    m1: {address: 10.77.0.11}
  workers:
    w1: {address: 10.77.0.21}   # the old one
    w2: {address: 10.77.0.22}
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJd5lBl6Q4nDl4LKHJLKkTnRHzwqLjGiR0TcJkdMe3fQ"


def a_folder(tmp_path: Path) -> Folder:
    folder = Folder(root=tmp_path / "lab")
    folder.root.mkdir()
    folder.cluster_yml.write_text(TEXT)
    folder.state.write_text("cluster_id: ours\npod_ranges: {m1: 10.244.0.0/24, w1: 10.244.1.0/24, w2: 10.244.2.0/24}\n")
    return folder


def of_folder(folder: Folder, hosts: dict[str, FakeHost]) -> Request:
    return Request(folder=folder, listener=silent, connect=lambda prepared: Pool(prepared.spec.hosts, lambda host: hosts[host.name]))


def test_a_worker_leaves_step_by_step_and_the_file_comes_last(tmp_path: Path) -> None:
    folder, ours = a_folder(tmp_path), Answer(stdout=Ledger(cluster_id="ours", cluster="lab", version="1").dump())
    hosts = {
        "m1": FakeHost(host="m1", scripts=[READY, when("--field-selector", node([pod()]))]),
        "w1": FakeHost(host="w1", scripts=[when(f"cat {paths.LEDGER}", ours), changing()]),
    }
    shown: list[str] = []

    def agree(lines: Any) -> bool:
        shown.extend(lines)
        return True

    said = list(node_remove.remove(of_folder(folder, hosts), Wish(asked=Asked(names=("w1",), confirm=agree))))
    done = [word for program in hosts["m1"].programs for word in (" patch ", " drain ", " delete node w1") if word in program]
    assert done == [" patch ", " drain ", " delete node w1"]
    stop = next(number for number, program in enumerate(hosts["w1"].programs) if "systemctl stop $u" in program)
    assert any("leave/" in program for program in hosts["w1"].programs[stop:])
    assert shown[0] == "w1: cordon; 1 pod leaves, budgets respected, within 300 s"
    assert "-    w1: {address: 10.77.0.21}   # the old one" in said
    assert folder.cluster_yml.read_text() == TEXT.replace("    w1: {address: 10.77.0.21}   # the old one\n", "")
    assert list(node_remove.remove(of_folder(folder, hosts), Wish(asked=Asked(names=("w1",))))) == [
        "w1: is not in cluster.yml any more, nothing to do"
    ]


def test_a_no_changes_nothing(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    hosts = {"m1": FakeHost(host="m1", scripts=[READY, when("--field-selector", node())]), "w1": FakeHost(host="w1")}
    assert list(node_remove.remove(of_folder(folder, hosts), Wish(asked=Asked(names=("w1",), confirm=lambda lines: False)))) == []
    assert folder.cluster_yml.read_text() == TEXT
    assert not [program for host in hosts.values() for program in host.programs if " patch " in program or " stop " in program]


def test_who_is_replaced_stays_in_the_file_and_leaves_its_key(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    kept = f"# ours\n10.77.0.11 {KEY}\n10.77.0.21,10.77.0.22 {KEY}\n"
    folder.known_hosts.write_text(kept + f"10.77.0.21 {KEY}\n")
    hosts = {"m1": FakeHost(host="m1", scripts=[READY, when("--field-selector", node())]), "w1": FakeHost(host="w1")}
    said = list(node_remove.replace_host(of_folder(folder, hosts), Wish(asked=Asked(names=("w1",)), stays=True)))
    assert folder.cluster_yml.read_text() == TEXT
    assert folder.known_hosts.read_text() == kept
    assert any("line 3" in line and "speaks of others" in line for line in said)
    assert "invoke inventory.trust" in said[-1]
    with pytest.raises(UsageError, match="one machine at a time"):
        list(node_remove.replace_host(of_folder(folder, hosts), Wish(asked=Asked(names=("w1", "w2")), stays=True)))


def test_of_a_host_whose_kubelet_is_silent_the_pods_are_ended_where_they_run() -> None:
    site = Site({"m1": [READY, when("--field-selector", node([pod()], ready="Unknown"))]})
    leaving = site.leaving("w1")
    found = leaving.look()
    assert next(iter(leaving.told(found))) == (
        "w1: its kubelet does not answer; what runs there (1 pod) is ended without asking budgets, and made anew elsewhere"
    )
    list(leaving.all(found))
    assert site.ran("m1", " drain ") == []
    (stopped,) = site.ran("w1", "systemctl stop containerd.service")
    assert "kill -KILL" in stopped


def test_of_a_host_whose_kubelet_answers_containerd_goes_on_until_it_is_cleaned() -> None:
    site = Site({"m1": [READY, when("--field-selector", node([pod()]))]})
    leaving = site.leaving("w1")
    list(leaving.all(leaving.look()))
    assert len(site.ran("m1", " drain ")) == 1
    assert site.ran("w1", "systemctl stop containerd.service") == []


def test_a_pod_that_nobody_would_make_anew_is_not_ended_unasked_either() -> None:
    site = Site({"m1": [READY, when("--field-selector", node([pod(owner=[])], ready="Unknown"))]})
    with pytest.raises(PreflightError, match="nothing was changed"):
        site.leaving("w1").look()


def test_what_was_edited_while_hosts_left_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yml"
    path.write_text(INVENTORY.replace("# later", "preflight: {waive: {os: ours}}"))
    lines = list(node_remove._cut(path, ["w2"]))
    assert "preflight: {waive: {os: ours}}" in path.read_text()
    assert "w2" not in path.read_text()
    assert any(line.startswith("-") and "w2" in line for line in lines)
    path.write_text("cluster: [")
    with pytest.raises(InventoryError, match="which have left") as refused:
        list(node_remove._cut(path, ["w2"]))
    assert "Take w2 out by hand" in refused.value.hint
    assert path.read_text() == "cluster: ["
