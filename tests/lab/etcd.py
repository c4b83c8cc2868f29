"""What tests of etcd share: questions to its members, canary keys and objects, and disks that are lost from one moment to the next."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_status
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.report.etcd import EtcdStatus
from tests.lab.conftest import Cluster

KEYS, OBJECTS, BATCH = 1000, 20, 100
_STARTS = "systemctl show -p Id,InvocationID,ActiveEnterTimestampMonotonic etcd.service kube-apiserver.service"


def inside(cluster: Cluster, host: str, text: str) -> str:
    done = labs.execute(cluster.lab.host(host), ["sh", "-c", text])
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def ctl(cluster: Cluster, host: str, arguments: str) -> str:
    return inside(cluster, host, f"{etcdctl(inventory.load(cluster.folder.cluster_yml).host(host))} {arguments}")


def until(cluster: Cluster, holds: Callable[[EtcdStatus], bool]) -> EtcdStatus:
    end = time.monotonic() + 120
    while not holds(found := etcd_status.status(cluster.request())):
        assert time.monotonic() < end, "\n".join(found.lines())
        time.sleep(0.5)
    return found


def whole(found: EtcdStatus) -> bool:
    return found.ok and len(found.following) == len(found.members)


def voters(cluster: Cluster) -> list[str]:
    """Once all is well: who votes."""
    return sorted(each.name for each in until(cluster, whole).known if not each.learner)


def masters(cluster: Cluster, full: str, names: Collection[str]) -> None:
    """The inventory with these masters of *full*'s alone: one line is one host there."""
    lines = [line for line in full.splitlines() if not line.startswith("    m") or line.split(":")[0].strip() in names]
    cluster.folder.cluster_yml.write_text("\n".join(lines) + "\n")


def starts(cluster: Cluster, hosts: Collection[str]) -> dict[str, str]:
    """When etcd and the API server of each host began, and as which invocation."""
    return {host: inside(cluster, host, _STARTS) for host in hosts}


def canaries(cluster: Cluster, mark: str) -> None:
    """A thousand keys that no API server knows, and twenty objects, half of them sealed."""
    for first in range(0, KEYS, BATCH):
        puts = "\n".join(f"put /canary/{number:04} {mark}-{number}" for number in range(first, first + BATCH))
        host = inventory.load(cluster.folder.cluster_yml).host("m1")
        done = labs.execute(cluster.lab.host("m1"), ["sh", "-c", f"{etcdctl(host)} txn"], text=f"\n{puts}\n\n\n")
        assert done.returncode == 0, done.stderr
    items = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"canary-{number}"}, field: {"mark": mark}}
        for number in range(OBJECTS // 2)
        for kind, field in (("ConfigMap", "data"), ("Secret", "stringData"))
    ]
    cluster.kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def alive(cluster: Cluster, mark: str) -> None:
    """All of them are there, on every member and through the API."""
    for host in ("m1", "m2", "m3"):
        rows = ctl(cluster, host, "get /canary/ --prefix --consistency=s").splitlines()
        assert rows[1::2] == [f"{mark}-{number}" for number in range(KEYS)], host
    found = json.loads(cluster.kubectl("get", "configmaps,secrets", "-o", "json"))["items"]
    mine = [item for item in found if item["metadata"]["name"].startswith("canary-")]
    assert len(mine) == OBJECTS
    assert {item["data"]["mark"] for item in mine} == {mark, base64.b64encode(mark.encode()).decode()}


def late(cluster: Cluster) -> str:
    """An object that no snapshot holds; gives its resource version, as a client remembers it."""
    cluster.kubectl("create", "configmap", "late")
    return cluster.kubectl("get", "configmap", "late", "-o", "jsonpath={.metadata.resourceVersion}")


def lose(cluster: Cluster, hosts: list[str]) -> None:
    """Their disks are empty from one moment to the next."""
    for host in hosts:
        inside(cluster, host, f"systemctl kill -s KILL etcd; rm -rf {paths.ETCD_DATA}/* {paths.ETCD_DATA}/.[!.]* 2>/dev/null; true")


def learns_that_history_is_gone(cluster: Cluster, version: str) -> None:
    """A client that goes on watching where it was is told that it must list again; nothing is kept from it silently."""
    said = cluster.kubectl(
        "get", "--raw", f"/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=5&resourceVersion={version}", "--request-timeout=20s"
    )
    event = json.loads(said.splitlines()[0])
    assert event["type"] == "ERROR", said[:500]
    assert event["object"]["code"] == 410, said[:500]
    watched = ctl(
        cluster, "m1", f"--command-timeout=5s watch /canary/ --prefix --rev={version} 2>&1 & p=$!; sleep 2; kill $p 2>/dev/null; wait; true"
    )
    assert "compacted" in watched, watched
