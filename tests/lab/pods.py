"""Test servers on chosen nodes, as users run pods: a deployment with a budget, and who runs where."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from kbootstrap.engine.prepare import prepare
from kbootstrap.engine.site import IMAGE, POD_PORT
from kbootstrap.model.events import silent
from tests.lab.conftest import Cluster

SETTLE_S = 120.0


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SETTLE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.3)


def apply(cluster: Cluster, *documents: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))


def pod(cluster: Cluster, name: str, node: str = "") -> dict[str, Any]:
    """The test server, whose image lies on every host; it ends at once when it is told to."""
    prepared = prepare(cluster.folder, silent, dry=True)
    image = prepared.world.images["amd64"][IMAGE][0]
    container = {"name": "web", "image": image, "args": ["netexec", f"--http-port={POD_PORT}"], "imagePullPolicy": "IfNotPresent"}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **({"nodeName": node} if node else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec}


def deployment(cluster: Cluster, replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(cluster, "web")["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def budget(needed: int) -> dict[str, Any]:
    spec = {"minAvailable": needed, "selector": {"matchLabels": {"app": "web"}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}


def running(cluster: Cluster, node: str = "") -> list[str]:
    """The nodes of the ready test servers, or just those on *node*."""
    found = json.loads(cluster.kubectl("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    ready = [p for p in found if any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions", []))]
    return [p["spec"]["nodeName"] for p in ready if "deletionTimestamp" not in p["metadata"] and node in ("", p["spec"]["nodeName"])]


def cordoned(cluster: Cluster, node: str) -> bool:
    return cluster.kubectl("get", "node", node, "-o", "jsonpath={.spec.unschedulable}") == "true"
