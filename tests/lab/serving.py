"""A deployment of two replicas behind a service, and clients on hosts that ask it ten times a second and count what they lose."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kbootstrap.catalog import releases
from kbootstrap.errors import KbError
from kbootstrap.remote import http
from kbootstrap.remote.connection import Connection
from tests.lab.conftest import Cluster
from tests.lab.load import Load

NAME = "serving"
PORT = 8080
RATE_PER_S = 10
LEAVES_S = 5  # a pod serves on until every host has heard that it goes


def documents() -> list[dict[str, Any]]:
    """What a careful user writes: readiness, time to leave, a budget, replicas apart."""
    image = releases.images()["testserver"]
    labels = {"app": NAME}
    container = {
        "name": NAME,
        "image": image.ref(image.version),
        "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", f"--http-port={PORT}"],
        "readinessProbe": {"httpGet": {"path": "/hostname", "port": PORT}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVES_S}}},
    }
    term = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]}}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [container], "affinity": affinity, "terminationGracePeriodSeconds": 20}}
    deployment = {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}
    budget = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]}
    found = (("apps/v1", "Deployment", deployment), ("policy/v1", "PodDisruptionBudget", budget), ("v1", "Service", service))
    return [{"apiVersion": version, "kind": kind, "metadata": {"name": NAME}, "spec": spec} for version, kind, spec in found]


def put_up(cluster: Cluster) -> str:
    """The service's address, once both replicas serve."""
    cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents()}))
    cluster.kubectl("rollout", "status", f"deployment/{NAME}", "--timeout=90s")
    return cluster.kubectl("get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}")


@contextmanager
def asking(connections: Sequence[Connection], address: str) -> Iterator[Load]:
    """Requests to *address* from each host as long as the block lasts, each on a connection of its own; one is lost after one retry."""
    load, stop, lock = Load(), threading.Event(), threading.Lock()

    def once(connection: Connection) -> str:
        try:
            http.get(connection, address, 80, "/hostname", timeout_s=5)
        except (KbError, OSError) as error:
            return f"{connection.host}: {error}"[:300]
        return ""

    def work(connection: Connection) -> None:
        while not stop.wait(len(connections) / RATE_PER_S):
            began = time.time()
            again = bool(why := once(connection))
            why = once(connection) if again else ""
            with lock:
                load.made += 1
                load.retried += again
                load.slowest_s = max(load.slowest_s, time.time() - began)
                load.lost += [(began, why)] if why else []

    threads = [threading.Thread(target=work, args=(connection,), daemon=True) for connection in connections]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
