"""The cluster does what it is for, the check of it finds what does not, and pods go where the inventory wants them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import yaml

from kbootstrap import lab as labs
from kbootstrap.catalog import names
from kbootstrap.engine import prepare, run, site, workload
from kbootstrap.model.events import silent
from kbootstrap.model.plan import CLUSTER
from kbootstrap.model.report import Result
from kbootstrap.remote import http
from kbootstrap.remote.connection import Connection
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab
_DEADLINE_S = 90.0
_GPU = '\ngroups:\n  gpu: {hosts: [w1], labels: {gpu: "true"}, taints: ["gpu=true:NoSchedule"]}\n'
_TAINT = {"key": "gpu", "value": "true", "effect": "NoSchedule"}


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}"
        time.sleep(0.3)


def verified(cluster: Cluster) -> tuple[Result, ...]:
    return run.verify(cluster.request()).results


def by_check(results: tuple[Result, ...]) -> dict[str, set[str]]:
    """Check → where, of the checks with pods."""
    found: dict[str, set[str]] = {}
    for result in results:
        found.setdefault(result.check, set()).add(result.where)
    return {name: found[name] for name in ("test-pods", "pod-to-pod", "dns", "cluster-ip", "node-port", "logs", "exec") if name in found}


def get(cluster: Cluster, *what: str) -> Any:
    return json.loads(cluster.kubectl("get", *what, "-o", "json"))


def namespaces(cluster: Cluster) -> list[str]:
    return [item["metadata"]["name"] for item in get(cluster, "namespaces")["items"] if item["metadata"]["name"].startswith(site.PREFIX)]


def a_pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "testserver", "image": image, "args": ["netexec", "--http-port=8080"]}
    full = {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "placing"}, "spec": full}


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """The test server's image, which lies on every worker."""
    ref, _ = prepare.prepare(cluster.folder, silent, dry=True).world.images["amd64"][site.IMAGE]
    return ref


@contextmanager
def inventory_with(cluster: Cluster, text: str) -> Iterator[None]:
    """*text* at the end of cluster.yml, and the cluster as it was afterwards."""
    path, before = cluster.folder.cluster_yml, cluster.folder.cluster_yml.read_text()
    path.write_text(before + text)
    try:
        yield
    finally:
        path.write_text(before)
        cluster.up()


@pytest.fixture
def placing(cluster: Cluster) -> Iterator[None]:
    """A namespace of that name for the pods of one test."""
    cluster.kubectl("create", "namespace", "placing")
    until(lambda: "default" in cluster.kubectl("get", "serviceaccounts", "-n", "placing", "-o", "name"), "the default service account")
    yield
    cluster.kubectl("delete", "namespace", "placing")


def test_every_host_is_asked_and_nothing_stays(cluster: Cluster) -> None:
    results = verified(cluster)
    assert [result for result in results if not result.ok] == []
    masters, workers = {h.name for h in cluster.lab.masters}, {h.name for h in cluster.lab.workers}
    assert by_check(results) == {
        "test-pods": workers,
        "pod-to-pod": workers,
        "dns": workers,
        "cluster-ip": masters | workers,
        "node-port": workers,
        "logs": masters,
        "exec": masters,
    }
    until(lambda: not namespaces(cluster), "the check's namespace goes")


def test_what_a_killed_check_left_goes_with_the_next_one(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    stale, foreign = f"{site.PREFIX}stale", "not-ours"
    for name in (stale, foreign):
        cluster.kubectl("create", "namespace", name)
        cluster.kubectl("label", "namespace", name, f"{site.LABEL}=true")
    verified(cluster)
    assert stale in namespaces(cluster), "it may be of a check that goes on right now"
    monkeypatch.setattr(site, "LEFTOVER", timedelta(0))
    verified(cluster)
    until(lambda: not namespaces(cluster), "both namespaces go")
    cluster.kubectl("delete", "namespace", foreign)


def test_what_does_not_work_is_found_where_it_is(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "PATIENCE_S", 4.0)
    assert labs.execute(cluster.lab.host("w1"), ["systemctl", "stop", "kube-proxy"]).returncode == 0
    cluster.kubectl("-n", "kube-system", "scale", "deployment/coredns", "--replicas=0")
    cluster.kubectl("-n", "kube-system", "wait", "--for=delete", "pod", "-l", "k8s-app=kube-dns", "--timeout=60s")
    bad = tuple(result for result in verified(cluster) if not result.ok)
    assert by_check(bad) == {"dns": {"w1", "w2"}, "cluster-ip": {"w1"}, "node-port": {"w1"}}
    hints = {result.check: result.hint for result in bad if result.where == "w1"}
    assert hints["cluster-ip"] == "On w1: journalctl -u kube-proxy -n 50"
    assert "k8s-app=kube-dns" in hints["dns"]
    mended = [change.id for change in cluster.up().picture.plan.changes()]
    assert len(mended) == 2, mended


def gpu(node: dict[str, Any]) -> tuple[str, bool]:
    """The node's gpu label (or nothing), and whether it has the taint."""
    return node["metadata"]["labels"].get("gpu", ""), _TAINT in node["spec"].get("taints", [])


def test_labels_and_taints_of_the_inventory_arrive_and_go(cluster: Cluster) -> None:
    """Also those with which the kubelet itself registered the node; what somebody set by hand stays."""
    with inventory_with(cluster, _GPU):
        outcome = cluster.up()
        assert {change.host for change in outcome.picture.plan.changes()} == {"w1", CLUSTER}
        assert "w1" in by_check(outcome.results)["pod-to-pod"], "the check covers tainted workers"
        assert gpu(get(cluster, "node", "w1")) == ("true", True)
        cluster.kubectl("delete", "node", "w1")
        assert labs.execute(cluster.lab.host("w1"), ["systemctl", "restart", "kubelet"]).returncode == 0
        until(lambda: "w1" in cluster.kubectl("get", "nodes", "-o", "name"), "w1 registers again")
        assert gpu(get(cluster, "node", "w1")) == ("true", True)
        cluster.up()
        cluster.kubectl("label", "node", "w1", "by-hand=yes")
        cluster.kubectl("taint", "node", "w1", "by-hand=yes:PreferNoSchedule")
        assert cluster.plan().picture.plan.empty
    node = get(cluster, "node", "w1")
    assert gpu(node) == ("", False)
    assert node["metadata"]["labels"]["by-hand"] == "yes"
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["by-hand"]
    assert cluster.plan().picture.plan.empty
    cluster.kubectl("label", "node", "w1", "by-hand-")
    cluster.kubectl("taint", "node", "w1", "by-hand-")


@pytest.mark.usefixtures("placing")
def test_pods_go_where_labels_and_taints_let_them(cluster: Cluster, image: str) -> None:
    """With the toleration onto the labelled, tainted worker; without it nowhere; ordinary pods on neither it nor any master."""
    tolerations = [{"key": "gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"}]
    selector = {"gpu": "true"}
    pods = [a_pod("tolerant", image, nodeSelector=selector, tolerations=tolerations), a_pod("plain", image, nodeSelector=selector)]
    pods += [a_pod(f"ordinary-{number}", image) for number in range(8)]
    with inventory_with(cluster, _GPU):
        cluster.up()
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump_all(pods))
        running = [f"pod/{pod['metadata']['name']}" for pod in pods if pod["metadata"]["name"] != "plain"]
        cluster.kubectl("-n", "placing", "wait", "--for=condition=Ready", "--timeout=60s", *running)
        found = {pod["metadata"]["name"]: pod for pod in get(cluster, "pods", "-n", "placing")["items"]}
    assert found["tolerant"]["spec"]["nodeName"] == "w1"
    assert {pod["spec"]["nodeName"] for name, pod in found.items() if name.startswith("ordinary-")} == {"w2"}
    plain = found["plain"]
    (scheduled,) = [c for c in plain["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert (plain["status"]["phase"], scheduled["reason"]) == ("Pending", "Unschedulable")
    assert "untolerated taint" in scheduled["message"]


def spread(cluster: Cluster) -> dict[str, str]:
    """Host → address of its CoreDNS pod, on two hosts: one is moved if both came up where the other host was not ready yet."""

    def pods() -> dict[str, str]:
        items = get(cluster, "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns", "--field-selector=status.phase=Running")["items"]
        return {item["spec"]["nodeName"]: item["status"]["podIP"] for item in items if "deletionTimestamp" not in item["metadata"]}

    if len(pods()) < 2:
        one = get(cluster, "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"][0]["metadata"]["name"]
        cluster.kubectl("-n", "kube-system", "delete", "pod", one)
        cluster.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
    until(lambda: len(pods()) == 2, "CoreDNS on two hosts")
    return pods()


def test_names_are_asked_of_the_dns_server_on_the_same_host(cluster: Cluster) -> None:
    servers = spread(cluster)
    service = get(cluster, "service", "-n", "kube-system", "kube-dns")
    assert service["spec"]["trafficDistribution"] == "PreferSameNode"
    until(partial(hinted, cluster, servers), "each CoreDNS is hinted to its own node")
    with asked_pods(cluster) as (found, connections):

        def queries(host: str) -> float:
            text = http.get(connections[host], servers[host], 9153, "/metrics")
            return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("coredns_dns_requests_total{"))

        for host, other in (("w1", "w2"), ("w2", "w1")):
            before = {name: queries(name) for name in servers}
            for number in range(10):
                target = f"/dial?host=nobody-{number}.{found.namespace}.svc.cluster.local.&port=80&protocol=http&request=hostname&tries=1"
                assert "no such host" in http.get(connections[host], found.pods[host].address, site.POD_PORT, target, timeout_s=10)
            assert queries(host) - before[host] >= 10
            assert queries(other) == before[other]


@contextmanager
def asked_pods(cluster: Cluster) -> Iterator[tuple[site.Site, dict[str, Connection]]]:
    """The pods of the check, for questions of our own, and the connection to each host."""
    prepared = prepare.prepare(cluster.folder, silent, dry=True)
    namespace = site.new_namespace()
    with cluster.request().connect(prepared) as pool:
        try:
            found, _ = site.put_up(prepared, pool, namespace)
            yield found, {host.name: pool.connection(host) for host in prepared.spec.hosts}
        finally:
            site.remove(prepared, pool, [namespace])


def hinted(cluster: Cluster, servers: dict[str, str]) -> bool:
    slices = get(cluster, "endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns")["items"]
    endpoints = [endpoint for each in slices for endpoint in each["endpoints"]]
    hints = {e["addresses"][0]: [node["name"] for node in e.get("hints", {}).get("forNodes", [])] for e in endpoints}
    return hints == {address: [host] for host, address in servers.items()}


def test_masters_bear_the_taint_and_workers_do_not(cluster: Cluster) -> None:
    taints = {item["metadata"]["name"]: [t["key"] for t in item["spec"].get("taints", [])] for item in get(cluster, "nodes")["items"]}
    assert taints == {host.name: [names.CONTROL_PLANE_LABEL] if host in cluster.lab.masters else [] for host in cluster.lab.hosts}
