"""The test pods of ``workload``: where they are put, what came of them, and that they go again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kbootstrap.catalog import names
from kbootstrap.engine import cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, CommandError, KbError
from kbootstrap.model.host import Host
from kbootstrap.plan import manifests
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.remote.pool import Pool
from kbootstrap.resources.difference import sh
from kbootstrap.store.entropy import SystemEntropy

PREFIX: Final = "kbootstrap-verify-"
LABEL: Final = "kbootstrap.io/verify"
TEMPLATE: Final = "verify/testserver.yaml.j2"
IMAGE: Final = "testserver"
POD_PORT: Final = 8080
SERVICE_PORT: Final = 80
START_S: Final = 120  # a pod takes about two seconds; after an outage of all API servers kube-scheduler may list again only after 60 (client-go's
# reflector waits up to 30 s and as much jitter), and its lease must run out after that, 15: 67 s were seen, by its journal
LEFTOVER: Final = timedelta(minutes=10)  # no check lasts as long: what is older was left by one that was killed


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A running test server."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was put up: *pods* by host, *waiting* why a host has none, the ClusterIP service's address, the port of the NodePort service."""

    namespace: str
    pods: Mapping[str, Pod]
    waiting: Mapping[str, str]
    service: str
    node_port: int

    @property
    def names(self) -> frozenset[str]:
        """The pods' names, which is what they answer with."""
        return frozenset(pod.name for pod in self.pods.values())


def new_namespace() -> str:
    """A name that no other check uses."""
    return PREFIX + SystemEntropy().random(4).hex()


def hosts(prepared: Prepared) -> tuple[Host, ...]:
    """Where test pods belong: on every worker; on masters where they are all there is."""
    return prepared.spec.workers or prepared.spec.hosts


def documents(prepared: Prepared, namespace: str) -> bytes:
    """All objects of a check, as kubectl reads them."""
    verify = {
        "namespace": namespace,
        "label": LABEL,
        "selector": names.WORKER_LABEL if prepared.spec.workers else "",
        "image": prepared.world.images[prepared.spec.hosts[0].arch][IMAGE][0],
        "pod_port": POD_PORT,
        "service_port": SERVICE_PORT,
    }
    text = prepared.world.renderer.render(TEMPLATE, {"verify": verify})
    return manifests.as_list(m.document for m in manifests.parse(text, TEMPLATE))


_PUT_UP = """\
{kubectl} apply --server-side --field-manager={manager} -f - >/dev/null || exit 1
{kubectl} get namespaces -l {label} -o jsonpath='{{range .items[*]}}{{.metadata.name}} {{.metadata.creationTimestamp}}{{"\\n"}}{{end}}'
{kubectl} -n {namespace} rollout status daemonset/testserver --timeout={start_s}s >/dev/null 2>&1
{kubectl} -n {namespace} get pods,services,events -o json
"""


def put_up(prepared: Prepared, pool: Pool, namespace: str) -> tuple[Site, tuple[str, ...]]:
    """Create the pods and services and wait for the pods; also the namespaces that killed checks left. ApplyError if no API server takes them."""

    def program(host: Host) -> str:
        return _PUT_UP.format(kubectl=kubectl(host), manager=names.FIELD_MANAGER, label=LABEL, namespace=sh(namespace), start_s=START_S)

    output = _on_a_master(prepared, pool, program, documents(prepared, namespace), deadline_s=START_S + 60)
    ages, brace, objects = output.partition("{")  # no namespace's name or age has one
    return parse(namespace, json.loads(brace + objects), [host.name for host in hosts(prepared)]), leftovers(ages, namespace)


def remove(prepared: Prepared, pool: Pool, namespaces: Iterable[str]) -> None:
    """Ask the API to delete *namespaces*, and do not wait for their end."""
    wanted = sh(*namespaces)
    _on_a_master(prepared, pool, lambda host: f"{kubectl(host)} delete namespace {wanted} --ignore-not-found --wait=false >/dev/null\n")


def _on_a_master(prepared: Prepared, pool: Pool, program: Callable[[Host], str], payload: bytes = b"", *, deadline_s: float = 30.0) -> str:
    problem: KbError = ApplyError("no master to ask")
    for host in prepared.spec.masters:
        try:
            code, output, stderr = cluster.one(pool.connection(host), program(host), payload, deadline_s=deadline_s)
        except KbError as error:
            problem = error
            continue
        if code == 0:
            return output.decode("utf-8", "replace")
        problem = CommandError(f"kubectl: {stderr.strip()[-500:]}", host=host.name)
    raise ApplyError(str(problem), hint="invoke cluster.status")


def leftovers(ages: str, namespace: str) -> tuple[str, ...]:
    """Of lines «name creation-time», those so much older than *namespace*, by the API server's own clock, that their check is long dead."""
    rows = [line.split() for line in ages.splitlines() if line.startswith(PREFIX)]
    made = {name: datetime.fromisoformat(created) for name, created in rows}
    return tuple(name for name, created in made.items() if namespace in made and made[namespace] - created >= LEFTOVER)


def parse(namespace: str, objects: Mapping[str, Any], expected: Iterable[str]) -> Site:
    """*objects* is kubectl's List of the namespace's pods, services and events; *expected* are the hosts that should have a pod."""
    found: dict[str, list[Mapping[str, Any]]] = {"Pod": [], "Service": [], "Event": []}
    for item in objects["items"]:
        found[item["kind"]].append(item)
    pods, waiting = {}, dict.fromkeys(expected, "no pod was made for it")
    for item in found["Pod"]:
        host = _host(item)
        if host not in waiting:
            continue
        if _ready(item):
            pods[host] = Pod(name=item["metadata"]["name"], address=item["status"]["podIP"])
            del waiting[host]
        else:
            waiting[host] = _why(item, found["Event"])
    services = {item["spec"]["type"]: item["spec"] for item in found["Service"]}
    return Site(
        namespace=namespace,
        pods=pods,
        waiting=waiting,
        service=services["ClusterIP"]["clusterIP"],
        node_port=services["NodePort"]["ports"][0]["nodePort"],
    )


def _host(pod: Mapping[str, Any]) -> str:
    """Also of a pod that is not scheduled yet: a DaemonSet names the node in its pods' affinity."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and bool(pod["status"].get("podIP"))


def _why(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> str:
    """The best reason there is: the container's, the last warning about the pod, the scheduler's."""
    states = [status.get("state", {}) for status in pod["status"].get("containerStatuses", [])]
    reasons = [s for state in states for kind in ("waiting", "terminated") if (s := state.get(kind)) and s.get("message")]
    mine = [e for e in events if e["type"] == "Warning" and e["involvedObject"].get("name") == pod["metadata"]["name"]]
    reasons += sorted(mine, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")[-1:]
    reasons += [c for c in pod["status"].get("conditions", []) if c["status"] == "False" and c.get("message")]
    late = "not ready" if pod["spec"].get("nodeName") else "kube-scheduler has not placed it"
    best = reasons[0] if reasons else {"reason": pod["status"].get("phase", "Pending"), "message": f"{late} within {START_S} s"}
    return f"{best.get('reason', '')}: {best['message']}"[:400]
