"""The test pods' objects, and what is made of the API's answer about them."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from kbootstrap.engine import site
from kbootstrap.engine.prepared import Prepared
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.render.env import Renderer
from kbootstrap.store import assets
from kbootstrap.testing.builders import a_cluster


class _World:
    """The two fields that a manifest is made of."""

    renderer = Renderer((assets.folder("templates"),))
    images = {"amd64": {"testserver": ("registry.example/agnhost:2.53", None)}}  # noqa: RUF012


class _Prepared:
    def __init__(self, spec: ClusterSpec) -> None:
        self.spec, self.world = spec, _World()


def documents(masters: int, workers: int) -> dict[str, dict[str, Any]]:
    prepared = cast(Prepared, _Prepared(a_cluster(masters, workers)))
    items = json.loads(site.documents(prepared, "kbootstrap-verify-x"))["items"]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


def a_pod(name: str, host: str, *, scheduled: bool = True, ready: bool = True, **status: Any) -> dict[str, Any]:
    affinity = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [host]}]}]}
    spec: dict[str, Any] = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": affinity}}}
    spec |= {"nodeName": host} if scheduled else {}
    status = {"podIP": "10.244.1.5", "conditions": [{"type": "Ready", "status": str(ready)}], **status}
    return {"kind": "Pod", "metadata": {"name": name}, "spec": spec, "status": status}


def a_warning(pod: str, at: str, message: str) -> dict[str, Any]:
    return {"kind": "Event", "type": "Warning", "involvedObject": {"name": pod}, "lastTimestamp": at, "reason": "Failed", "message": message}


SERVICES = [
    {"kind": "Service", "spec": {"type": "ClusterIP", "clusterIP": "10.96.3.4", "ports": [{"port": 80}]}},
    {"kind": "Service", "spec": {"type": "NodePort", "clusterIP": "10.96.3.5", "ports": [{"port": 80, "nodePort": 30123}]}},
]


def parse(*items: dict[str, Any]) -> site.Site:
    return site.parse("ns", {"items": [*items, *SERVICES]}, ["w1", "w2"])


def test_pods_go_to_workers_whatever_these_are_tainted_with() -> None:
    spec = documents(3, 2)["DaemonSet/testserver"]["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"node-role.kubernetes.io/worker": ""}
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_pods_go_to_masters_where_these_are_all_there_is() -> None:
    assert "nodeSelector" not in documents(1, 0)["DaemonSet/testserver"]["spec"]["template"]["spec"]


def test_everything_lies_in_the_namespace_that_is_deleted() -> None:
    found = documents(3, 2)
    assert next(iter(found)) == "Namespace/kbootstrap-verify-x"
    assert found["Namespace/kbootstrap-verify-x"]["metadata"]["labels"][site.LABEL] == "true"
    assert {d["metadata"].get("namespace", d["metadata"]["name"]) for d in found.values()} == {"kbootstrap-verify-x"}
    assert {d["spec"]["type"] for key, d in found.items() if key.startswith("Service/")} == {"ClusterIP", "NodePort"}


def test_a_ready_pod_is_found_by_its_host() -> None:
    found = parse(a_pod("a", "w1"), a_pod("b", "w2", podIP="10.244.2.9"), a_pod("c", "elsewhere"))
    assert found.pods == {"w1": site.Pod(name="a", address="10.244.1.5"), "w2": site.Pod(name="b", address="10.244.2.9")}
    assert (found.service, found.node_port, found.names) == ("10.96.3.4", 30123, frozenset({"a", "b"}))
    assert not found.waiting


def test_a_host_without_a_pod_is_named() -> None:
    assert parse(a_pod("a", "w1")).waiting == {"w2": "no pod was made for it"}


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (a_pod("a", "w1", ready=False, containerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}}]),
         "ErrImagePull: no such host"),
        (a_pod("a", "w1", ready=False, containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}]), "Failed: the newer one"),
        (a_pod("other", "w1", scheduled=False, ready=False,
               conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "too many pods"}]),
         "Unschedulable: too many pods"),
        (a_pod("other", "w1", ready=False, phase="Running"), f"Running: not ready within {site.START_S} s"),
        (a_pod("other", "w1", scheduled=False, ready=False), f"Pending: kube-scheduler has not placed it within {site.START_S} s"),
    ],
)  # fmt: skip
def test_why_a_pod_is_not_ready(pod: dict[str, Any], why: str) -> None:
    warnings = [a_warning("a", "2026-01-02T00:00:00Z", "the newer one"), a_warning("a", "2026-01-01T00:00:00Z", "the older one")]
    assert parse(pod, *warnings, a_pod("b", "w2")).waiting == {"w1": why}


def test_only_what_is_long_dead_is_left_over() -> None:
    lines = [
        "kbootstrap-verify-me 2026-01-01T10:10:00Z",
        "kbootstrap-verify-old 2026-01-01T10:00:00Z",
        "kbootstrap-verify-neighbour 2026-01-01T10:00:01Z",
        "somebody-else 2020-01-01T00:00:00Z",
    ]
    assert site.leftovers("\n".join(lines), "kbootstrap-verify-me") == ("kbootstrap-verify-old",)
    assert site.leftovers("", "kbootstrap-verify-me") == ()
