"""Whether to wait for what is not ready: only for what may still be on its way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kbootstrap.engine import api
from kbootstrap.store import clock


def item(kind: str, name: str, status: str, age_s: float) -> dict[str, Any]:
    since = (clock.now() - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Ready" if kind == "Node" else "Available", "status": status, "lastTransitionTime": since}
    metadata = {"name": name, "namespace": "kube-system", "creationTimestamp": since}
    return {"kind": kind, "metadata": metadata, "spec": {"replicas": 2}, "status": {"conditions": [condition], "availableReplicas": 2}}


@pytest.mark.parametrize(
    ("seen", "wait"),
    [
        ([("Node", "w1", "True", 5), ("Deployment", "coredns", "True", 5)], False),
        ([("Node", "w1", "False", 5)], True),
        ([("Node", "w1", "Unknown", 3600)], False),
        ([("Node", "w9", "False", 5)], False),  # not one of those that are worked on
        ([("Deployment", "coredns", "False", 20)], True),
        ([("Deployment", "coredns", "False", 3600)], False),
    ],
)
def test_what_became_unready_a_moment_ago_may_be_on_its_way(seen: list[tuple[str, str, str, float]], wait: bool) -> None:
    assert api.settling({"items": [item(*one) for one in seen]}, ["m1", "w1"]) is wait


def test_what_has_no_condition_yet_is_as_old_as_itself() -> None:
    node = item("Node", "w1", "True", 2)
    node["status"] = {}
    assert api.settling({"items": [node]}, ["w1"])
    assert not api.settling(None, ["w1"])


@pytest.mark.parametrize(("age_s", "wait"), [(5, True), (3600, False)])
def test_one_of_two_replicas_is_available_and_the_other_may_be_on_its_way(age_s: float, wait: bool) -> None:
    coredns = item("Deployment", "coredns", "True", 5)
    moved = (clock.now() - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    coredns["status"]["availableReplicas"] = 1
    coredns["status"]["conditions"].append({"type": "Progressing", "status": "True", "lastUpdateTime": moved, "lastTransitionTime": moved})
    assert api.settling({"items": [coredns]}, []) is wait
