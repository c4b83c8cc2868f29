"""Who cordoned a node, which pods a drain evicts, and what the pods that stay are told to wait for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kbootstrap.plan import node_drain as words
from kbootstrap.testing.builders import a_cluster

HOST = a_cluster().masters[0]


def pod(name: str, *, owner: str = "ReplicaSet", phase: str = "Running", **meta: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "x", "controller": True}] if owner else []
    about = {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": owners}
    return {"metadata": about | meta, "status": {"phase": phase}}


def budget(name: str, selector: Any, *, healthy: int = 2, needed: int = 2, space: str = "default") -> dict[str, Any]:
    status = {"currentHealthy": healthy, "desiredHealthy": needed, "disruptionsAllowed": 0}
    return {"metadata": {"name": name, "namespace": space}, "spec": {"selector": selector} if selector is not None else {}, "status": status}


def seen(*pods: Any, budgets: Any = (), ready: str = "True", spec: Any = None, annotations: Any = None) -> words.Seen:
    node = {
        "metadata": {"name": "w1", "annotations": annotations or {}},
        "spec": spec or {},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    text = "\n".join([json.dumps(node, indent=1), json.dumps({"items": list(pods)}), json.dumps({"items": list(budgets)})])
    return words.seen("w1", text)


def test_what_stays_on_a_drained_node_does_not_count() -> None:
    mirror = pod("etcd", owner="Node", annotations={"kubernetes.io/config.mirror": "x"})
    found = seen(pod("a"), pod("agent", owner="DaemonSet"), mirror, pod("job", owner="Job", phase="Succeeded"), pod("alone", owner=""))
    assert [each["metadata"]["name"] for each in found.leaving] == ["a", "alone"]
    assert [problem.where for problem in words.nobodys(found)] == ["default/alone"]
    assert "--force" in words.nobodys(found)[0].hint


def test_a_node_that_is_none() -> None:
    found = words.seen("w9", 'null\n{"items": []}\n{"items": []}\n')
    assert not found.node
    assert not found.cordoned
    assert not found.ready


@pytest.mark.parametrize("text", ["", "null", '{"items": []} {"items": []} {} {}', "no JSON"])
def test_an_answer_cut_off_is_no_answer(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        words.seen("w1", text)


def test_a_cordon_is_ours_only_with_the_mark() -> None:
    mark = {words.CORDONED_BY: "node.reboot"}
    assert seen(spec={"unschedulable": True}, annotations=mark).cordoned_by == "node.reboot"
    assert seen(spec={"unschedulable": True}).cordoned_by == ""
    assert seen(annotations=mark).cordoned_by == "", "somebody has uncordoned it since"


def test_the_mark_comes_and_goes_with_the_cordon_in_one_write() -> None:
    def patch(text: str) -> Any:
        return json.loads(text.partition("--patch=")[2].strip().strip("'"))

    assert patch(words.cordon(HOST, "w1", "node.reboot")) == {
        "metadata": {"annotations": {words.CORDONED_BY: "node.reboot"}},
        "spec": {"unschedulable": True},
    }
    assert patch(words.cordon(HOST, "w1", "")) == {"metadata": {"annotations": {words.CORDONED_BY: None}}, "spec": {"unschedulable": True}}
    assert patch(words.uncordon(HOST, "w1")) == {"metadata": {"annotations": {words.CORDONED_BY: None}}, "spec": {"unschedulable": None}}


@pytest.mark.parametrize(
    ("selector", "covers"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "x"}}, False),
        ({}, True),
        (None, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_budget_is_named_where_its_selector_takes_the_pod(selector: Any, covers: bool) -> None:
    (found,) = words.blockers(seen(pod("a"), budgets=[budget("two", selector)]))
    assert ("PodDisruptionBudget default/two" in found.what) is covers
    assert found.hint


def test_what_blocks_says_what_helps() -> None:
    web = {"matchLabels": {"app": "web"}}
    (sick,) = words.blockers(seen(pod("a"), budgets=[budget("two", web, healthy=1)]))
    assert sick.hint == "Mend the pods that are not healthy: kubectl -n default get pods -l app=web"
    (both,) = words.blockers(seen(pod("a"), budgets=[budget("two", web), budget("three", {})]))
    assert "two, three" in both.what
    (elsewhere,) = words.blockers(seen(pod("a"), budgets=[budget("two", web, space="other")]))
    assert elsewhere.what == "was not evicted in time"


def test_a_pod_that_does_not_end_says_why() -> None:
    gone = "2026-01-01T00:00:00Z"
    (dead,) = words.blockers(seen(pod("a", deletionTimestamp=gone), ready="Unknown"))
    assert "the kubelet of w1 does not answer" in dead.what
    assert "invoke node.remove w1 --absent" in dead.hint
    (held,) = words.blockers(seen(pod("a", deletionTimestamp=gone, finalizers=["x/y"], deletionGracePeriodSeconds=600)))
    assert "it waits for x/y" in held.what
    assert "600 s" in held.hint
