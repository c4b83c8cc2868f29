"""``cluster.up`` and ``cluster.plan`` never change the version of a Kubernetes that is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine import versions
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import PreflightError
from kbootstrap.model.desired import Desired
from kbootstrap.model.pki import Pki
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import Binary, Blob
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.pool import Pool
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import Rollout, State
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, when

SPEC = a_cluster(1, 1)  # 1.36.3
INSTALLED = {"m1": Ledger(cluster_id="c"), "w1": Ledger(cluster_id="c")}


def prepared(rollout: Rollout | None = None) -> Prepared:
    world = World(spec=SPEC, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    state = State(cluster_id="c", rollout=rollout)
    return Prepared(folder=Folder(root=Path("inventory/lab")), spec=SPEC, state=state, pki=Pki(), issued=(), world=world, desired=Desired(hosts={}))


def a_plan(program: str = "kubelet") -> Plan:
    binary = Binary(name=f"{paths.BIN}/{program}", blob=Blob(sha256="a" * 64, size=1, path=Path("x")))
    change = Change(host="w1", key=binary.name, action=Action.UPDATE, reason="sha256", commands="", resource=binary)
    return Plan(stages=(Stage(name="WORKERS", hosts=(HostPlan(host="w1", changes=(change,)),)),))


def hosts(master: str, worker: str) -> dict[str, FakeHost]:
    said = {"m1": f"kube-apiserver Kubernetes v{master}\nkubelet Kubernetes v{master}\n", "w1": f"kubelet Kubernetes v{worker}\n"}
    return {name: FakeHost(host=name, scripts=[when("--version", Answer(stdout=text.encode()))]) for name, text in said.items()}


def asked(found: dict[str, FakeHost], known: Prepared | None = None, plan: Plan | None = None, ledgers: dict[str, Ledger] | None = None) -> None:
    with Pool(SPEC.hosts, lambda host: found[host.name]) as pool:
        versions.unchanged(known or prepared(), pool, plan or a_plan(), INSTALLED if ledgers is None else ledgers)


@pytest.mark.parametrize(
    ("master", "worker", "rollout", "hint"),
    [
        ("1.35.4", "1.35.4", None, "A new version goes host by host: invoke cluster.upgrade --to 1.36.3"),
        ("1.36.3", "1.36.1", None, "A new version goes host by host: invoke cluster.upgrade --to 1.36.3"),
        ("1.36.4", "1.36.4", None, 'Write `kubernetes: "1.36.4"` in cluster.yml; to go back to what ran before: invoke cluster.rollback'),
        ("1.36.4", "1.36.3", Rollout(origin="1.36.3", target="1.36.4"), "A change from 1.36.3 to 1.36.4 is under way: invoke cluster.upgrade"),
        ("1.36.4", "1.36.3", Rollout(origin="1.36.4", target="1.36.3", back=True), "A change from 1.36.4 to 1.36.3 is under way: invoke cluster"),
    ],
    ids=["older", "a patch, one host", "newer", "upgrade under way", "rollback under way"],
)  # fmt: skip
def test_another_version_is_refused_with_the_way_to_it(master: str, worker: str, rollout: Rollout | None, hint: str) -> None:
    with pytest.raises(PreflightError) as caught:
        asked(hosts(master, worker), prepared(rollout))
    assert caught.value.hint.startswith(hint)
    assert caught.value.problems[0].what.endswith(f"1.3{'5.4' if master == '1.35.4' else '6.1' if worker == '1.36.1' else '6.4'}")


def test_another_build_of_the_same_version_goes_through() -> None:
    asked(hosts("1.36.3", "1.36.3"))


def test_nobody_is_asked_where_no_program_of_kubernetes_differs_or_nothing_was_installed() -> None:
    found = hosts("1.35.4", "1.35.4")
    asked(found, plan=a_plan("containerd"))
    asked(found, plan=Plan(stages=()))
    asked(found, ledgers={"m1": replace(INSTALLED["m1"], cluster_id=""), "w1": Ledger()})
    assert [host.programs for host in found.values()] == [[], []]
