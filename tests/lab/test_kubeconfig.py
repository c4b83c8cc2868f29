"""Kubeconfigs against a real cluster: people with a certificate and with a token, the Python client, ``check``, and files brought to hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config  # type: ignore[import-untyped]

from kbootstrap import kubeconfig
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import kubeconfig_check, kubeconfigs, people
from kbootstrap.errors import UsageError
from kbootstrap.kubeconfig.people import Person
from kbootstrap.model.cluster import Certificates
from kbootstrap.pki import inspect
from kbootstrap.store import clock, operator_kubeconfig, pki_dir
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab
TEAM = "team-a"


@pytest.fixture(scope="module")
def team(cluster: Cluster) -> Iterator[str]:
    cluster.kubectl("create", "namespace", TEAM)
    yield TEAM
    cluster.kubectl("delete", "namespace", TEAM, "--wait=false")
    cluster.kubectl("delete", "clusterrolebinding", "kbootstrap:account:robot:view", "--ignore-not-found")


def as_user(cluster: Cluster, path: Path, *arguments: str, fails: bool = False) -> str:
    return cluster.kubectl("--kubeconfig", str(path), *arguments, fails=fails)


def known_as(cluster: Cluster, path: Path) -> dict[str, Any]:
    return dict(json.loads(as_user(cluster, path, "auth", "whoami", "-o", "json"))["status"]["userInfo"])


def marks(cluster: Cluster) -> frozenset[str]:
    return operator_kubeconfig.owners(cluster.folder, pki_dir.load(cluster.folder.pki))


def test_a_person_with_a_certificate_is_who_it_says_and_may_do_what_was_bound(cluster: Cluster, team: str, tmp_path: Path) -> None:
    path = tmp_path / "alice.conf"
    person = Person(name="alice", groups=("devs",), ttl=timedelta(hours=24), namespace=team, roles=("edit",))
    made = people.give(cluster.request(), person, server="m2", to=path, force=False)
    found = known_as(cluster, path)
    assert (found["username"], set(found["groups"])) == ("alice", {"devs", "system:authenticated"})
    assert as_user(cluster, path, "auth", "can-i", "create", "deployments").strip() == "yes"
    assert "no" in as_user(cluster, path, "auth", "can-i", "create", "deployments", "-n", "default", fails=True)
    assert "no" in as_user(cluster, path, "auth", "can-i", "get", "nodes", fails=True)
    as_user(cluster, path, "create", "configmap", "hers", "--from-literal=a=b")
    assert cluster.kubectl("get", "configmap", "hers", "-n", team, "-o", "name").strip() == "configmap/hers"
    certificate = inspect.describe(kubeconfig.read(path.read_text()).pair.cert_pem)
    assert certificate.not_after == made.not_after
    assert abs(certificate.not_after - clock.now() - timedelta(hours=24)) < timedelta(minutes=10)
    entry = pki_dir.ledger(cluster.folder.pki)[-1]
    assert (entry.subject, entry.groups, entry.serial) == ("alice", ("devs",), certificate.serial)


def test_a_namespace_that_is_not_there_is_said_before_anything_is_made(cluster: Cluster, tmp_path: Path) -> None:
    person = Person(name="carol", ttl=timedelta(hours=1), namespace="nowhere", roles=("edit",))
    signed = len(pki_dir.ledger(cluster.folder.pki))
    with pytest.raises(UsageError, match="there is no nowhere") as caught:
        people.give(cluster.request(), person, server="", to=tmp_path / "carol.conf", force=False)
    assert caught.value.hint == "kubectl create namespace nowhere"
    assert len(pki_dir.ledger(cluster.folder.pki)) == signed
    assert not (tmp_path / "carol.conf").exists()


def test_a_person_with_a_token_is_an_account_that_can_be_taken_back(cluster: Cluster, team: str, tmp_path: Path) -> None:
    path = tmp_path / "robot.conf"
    person = Person(name="robot", ttl=timedelta(minutes=30), namespace="", roles=("view",), token=True)
    made = people.give(cluster.request(), person, server="", to=path, force=False)
    assert known_as(cluster, path)["username"] == made.user == "system:serviceaccount:default:robot"
    assert as_user(cluster, path, "auth", "can-i", "list", "pods", "-A").strip() == "yes"
    assert "no" in as_user(cluster, path, "auth", "can-i", "delete", "pods", fails=True)
    assert abs(made.not_after - clock.now() - timedelta(minutes=30)) < timedelta(minutes=5)
    entry = pki_dir.ledger(cluster.folder.pki)[-1]
    assert (entry.id, entry.issuer, bool(entry.serial)) == ("token:default/robot", people.ACCOUNTS, True)
    rows = kubeconfig_check.check(path.read_text(), marks(cluster), Certificates())
    assert [(row.verdict, row.detail) for row in rows] == [(kubeconfig_check.Verdict.OK, f"the API knows it as {made.user}")] * 3
    cluster.kubectl("delete", "serviceaccount", "robot")
    end = clock.monotonic_s() + 60
    while (row := kubeconfig_check.check(path.read_text(), marks(cluster), Certificates())[0]).verdict is not kubeconfig_check.Verdict.REJECTED:
        assert clock.monotonic_s() < end, row  # an API server remembers for ten seconds that a token was good
        clock.pause(1)


def test_a_role_that_is_not_there_is_refused_before_anything_is_signed(cluster: Cluster, team: str, tmp_path: Path) -> None:
    signed = len(pki_dir.ledger(cluster.folder.pki))
    person = Person(name="bob", ttl=timedelta(hours=1), namespace=team, roles=("veiw",))
    with pytest.raises(UsageError, match="there is no cluster role veiw"):
        people.give(cluster.request(), person, server="", to=tmp_path / "bob.conf", force=False)
    assert len(pki_dir.ledger(cluster.folder.pki)) == signed
    assert not (tmp_path / "bob.conf").exists()


def test_the_python_client_works_with_every_context(cluster: Cluster) -> None:
    path = str(cluster.folder.admin_conf)
    contexts, _ = config.list_kube_config_contexts(path)
    assert len(contexts) == 3
    for context in contexts:
        with config.new_client_from_config(path, context=context["name"]) as api:
            nodes = client.CoreV1Api(api).list_node(_request_timeout=20).items
        assert {node.metadata.name for node in nodes} == {host.name for host in cluster.lab.hosts}


def test_check_finds_the_operators_file_fine(cluster: Cluster) -> None:
    rows = kubeconfig_check.check(cluster.folder.admin_conf.read_text(), marks(cluster), Certificates())
    assert [row.detail for row in rows] == ["the API knows it as kubernetes-admin"] * 3
    assert kubeconfig_check.exit_code(rows) == 0


def test_a_damaged_file_is_brought_back_and_only_what_reads_it_restarts(cluster: Cluster, tmp_path: Path) -> None:
    w1, started = cluster.lab.host("w1"), "systemctl show -p ExecMainStartTimestampMonotonic --value kubelet kube-proxy containerd"
    conf = paths.kubeconfig("kubelet")
    before = labs.execute(w1, ["sh", "-c", started]).stdout.split()
    assert labs.execute(w1, ["sh", "-c", f"echo '# damage' >> {conf}"]).returncode == 0
    dry = kubeconfigs.install(cluster.request(limit=("w1",)), dry=True)
    assert {change.id for change in dry.plan.changes()} <= {f"w1:{conf}", "w1:kubelet.service"}
    outcome = kubeconfigs.install(cluster.request(limit=("w1",)))
    assert [result for result in outcome.results if not result.ok] == []
    written = kubeconfigs.write(cluster.folder, tmp_path, limit=("w1",))
    assert labs.execute(w1, ["cat", conf]).stdout.encode() == (tmp_path / "w1" / "kubelet.conf").read_bytes()
    assert set(written) == {tmp_path / "admin.conf", tmp_path / "w1/kubelet.conf", tmp_path / "w1/kube-proxy.conf"}
    after = labs.execute(w1, ["sh", "-c", started]).stdout.split()
    assert after[1:] == before[1:], "kube-proxy and containerd were left alone"
    assert kubeconfigs.install(cluster.request(limit=("w1",)), dry=True).empty
