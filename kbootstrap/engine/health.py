"""Health from outside, of a cluster that should be whole: etcd, API servers, nodes, and the certificates really served."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kbootstrap.engine import cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.serving import served
from kbootstrap.errors import KbError
from kbootstrap.model.host import Host
from kbootstrap.model.report import Result
from kbootstrap.pki.inspect import fingerprint
from kbootstrap.plan import serving
from kbootstrap.plan.checks.gates import etcdctl, kubectl
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock

SETTLING_S = 30.0


def _master_program(host: Host) -> str:
    return (
        f'{etcdctl(host)} endpoint status -w json; echo "etcd=$?"\n{kubectl(host)} --request-timeout=4s get --raw /readyz; echo; echo "readyz=$?"\n'
    )


def _master(prepared: Prepared, connection: Connection) -> list[Result]:
    host = prepared.spec.host(connection.host)
    _, output, stderr = cluster.one(connection, _master_program(host), deadline_s=30)
    text = output.decode("utf-8", "replace")
    etcd_ok = "etcd=0" in text
    detail = _etcd_detail(text) if etcd_ok else _last(stderr)
    results = [
        Result(check="etcd", where=host.name, ok=etcd_ok, detail=detail, hint=f"On {host.name}: journalctl -u etcd -n 50"),
        Result(
            check="readyz",
            where=host.name,
            ok="readyz=0" in text and "\nok\n" in f"\n{text}",
            detail="ok" if "readyz=0" in text else _last(stderr),
            hint=f"On {host.name}: journalctl -u kube-apiserver -n 50",
        ),
    ]
    return results + _served(prepared, connection)


def _last(stderr: str) -> str:
    return (stderr.strip().splitlines() or ["no answer"])[-1][-200:]


def _etcd_detail(text: str) -> str:
    for line in text.splitlines():
        if line.startswith("["):
            status = json.loads(line)[0]["Status"]
            is_leader = status.get("leader") == status["header"]["member_id"]  # zero values are left out: there is no leader
            return f"{'leader' if is_leader else 'follower'}, {status['version']}, {status['dbSize'] / 1e6:.0f} MB"
    return "healthy"


def _served(prepared: Prepared, connection: Connection) -> list[Result]:
    """The certificate that each port serves is the one that the operator's PKI holds: «renewed but not restarted» is found here."""
    asked = serving.sockets(prepared.spec, prepared.spec.host(connection.host))
    return [_shown(prepared, connection.host, socket, found) for socket, found in served(connection, asked).items()]


def _shown(prepared: Prepared, host: str, socket: serving.Socket, found: bytes | KbError) -> Result:
    where = f"{host} {socket}"
    if isinstance(found, KbError):
        return Result(check="served-certificate", where=where, ok=False, detail=found.message, hint="invoke cluster.status")
    ok, shown = bool(serving.owner(prepared.pki, socket, found)), fingerprint(found)[:16]
    if ok:
        return Result(check="served-certificate", where=where, ok=True, detail=f"{socket.certificate} {shown}")
    detail = f"serves {shown}, which is not {socket.certificate} of inventory/{prepared.folder.name}/pki"
    return Result(check="served-certificate", where=where, ok=False, detail=detail, hint="invoke certs.check tells why.")


def hosts(prepared: Prepared, pool: Pool, names: Sequence[str]) -> list[Result]:
    """etcd and /readyz of every master, the served certificates of every host; an unreachable host is a result too."""

    def check(host: Host, connection: Connection) -> list[Result]:
        return _master(prepared, connection) if host.is_master else _served(prepared, connection)

    outcomes = pool.map(check, [prepared.spec.host(name) for name in names])
    results: list[Result] = []
    for name, outcome in outcomes.items():
        if outcome.error is not None:
            results.append(Result(check="reachable", where=name, ok=False, detail=outcome.error.message, hint=outcome.error.hint))
        else:
            results += outcome.get()
    return results


def settled(prepared: Prepared, pool: Pool, names: Sequence[str]) -> list[Result]:
    """As ``hosts``, asked again for a while: a unit that is active since a moment ago, after a boot perhaps, may not serve yet."""
    end = clock.monotonic_s() + SETTLING_S
    while True:
        results = hosts(prepared, pool, names)
        if all(result.ok for result in results) or clock.monotonic_s() >= end or pool.stopping.is_set():
            return results
        clock.pause(0.5)


def nodes(live: Mapping[str, Any], names: Sequence[str]) -> Iterator[Result]:
    """Each host's node is Ready, from the API's own objects."""
    found = {item["metadata"]["name"]: item for item in live.get("items", []) if item.get("kind") == "Node"}
    for name in names:
        conditions = {c["type"]: c for c in found.get(name, {}).get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {"status": "absent", "message": "not registered"})
        ok = ready["status"] == "True"
        detail = "Ready" if ok else f"Ready is {ready['status']}: {ready.get('message', '')}"[:300]
        yield Result(check="node", where=name, ok=ok, detail=detail, hint="" if ok else f"On {name}: journalctl -u kubelet -n 50")


def unready_since(live: Mapping[str, Any], names: Sequence[str]) -> list[datetime]:
    """When each node of *names* stopped being ready (or registered), and each deployment of ours being available (or was made)."""
    found = []
    for item in live.get("items", []):
        wanted = {"Node": "Ready", "Deployment": "Available"}.get(item.get("kind", ""), "")
        if not wanted or (wanted == "Ready" and item["metadata"]["name"] not in names):
            continue
        condition: Mapping[str, Any] = next((c for c in item.get("status", {}).get("conditions", []) if c["type"] == wanted), {})
        if condition.get("status") != "True":
            found.append(datetime.fromisoformat(condition.get("lastTransitionTime") or item["metadata"]["creationTimestamp"]))
        elif wanted == "Available" and item["status"].get("availableReplicas", 0) < item["spec"]["replicas"]:  # «available» with one of two, too
            progress = next((c for c in item["status"]["conditions"] if c["type"] == "Progressing"), condition)
            found.append(datetime.fromisoformat(progress.get("lastUpdateTime") or progress["lastTransitionTime"]))
    return found


def deployments(live: Mapping[str, Any]) -> Iterator[Result]:
    """Each deployment of ours has all its replicas available."""
    for item in live.get("items", []):
        if item.get("kind") == "Deployment":
            wanted, have = item["spec"]["replicas"], item.get("status", {}).get("availableReplicas", 0)
            where = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            yield Result(
                check="deployment",
                where=where,
                ok=have >= wanted,
                detail=f"{have} of {wanted} available",
                hint=f"kubectl -n {where.replace('/', ' describe deployment ')}",
            )
