"""The cluster does what it is for: a test server on every worker, asked from every host. All is put up for the check and goes with it.

Questions travel over the connections that are there anyway: a host's sshd dials its own pod, and the pod asks the others. So what is tested is
the way between pods, not the way from the operator's machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from kbootstrap import topology
from kbootstrap.catalog import ports
from kbootstrap.engine import cluster, site
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.site import POD_PORT, SERVICE_PORT, Pod, Site
from kbootstrap.engine.timing import stage
from kbootstrap.errors import CommandError, KbError, counted
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.host import Host
from kbootstrap.model.report import Result
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.remote import http
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.resources.difference import sh
from kbootstrap.store import clock

STAGE: Final = "VERIFY"
PATIENCE_S: Final = 120.0  # until all know the new pods: usually a second; after an outage of all API servers CoreDNS asks again within 60
PAUSE_S: Final = 0.1
ANSWER_S: Final = 8.0  # the test server itself gives up after 5
MAX_FAILURES: Final = 3  # each may cost its whole timeout; the others would tell the same
API_NAME: Final = "kubernetes.default.svc"
SPOKE_PLAIN_HTTP: Final = "400"  # the API server, reached, asked without TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One host's view: *neighbour* is another host (itself where it is alone); questions are repeated until *end_s* on the monotonic clock."""

    site: Site
    host: Host
    neighbour: Host
    connection: Connection
    end_s: float

    @property
    def pod(self) -> Pod | None:
        """The test server on this host."""
        return self.site.pods.get(self.host.name)


def check(prepared: Prepared, pool: Pool, listener: Listener) -> list[Result]:
    """Pods on every worker run, reach each other, names and services; every host serves the NodePort; every API server reaches the kubelets.

    Never raises for what it finds, nor for what stops it: that is a result too. Its namespace is deleted at the end, without waiting.
    """
    namespace = site.new_namespace()
    old: tuple[str, ...] = ()
    with stage(listener, STAGE):
        try:
            found, old = site.put_up(prepared, pool, namespace)
            return [*_pods(prepared, found), *_asked(prepared, pool, found)]
        except KbError as error:
            return [Result(check="test-pods", where="cluster", ok=False, detail=str(error), hint=error.hint or "invoke cluster.status")]
        finally:
            _remove(prepared, pool, (namespace, *old), listener)


def _remove(prepared: Prepared, pool: Pool, namespaces: Sequence[str], listener: Listener) -> None:
    try:
        site.remove(prepared, pool, namespaces)
    except KbError as error:
        listener(Note(text=f"the namespace {namespaces[0]} stays until the next cluster.verify after {site.LEFTOVER}: {error}", warning=True))


def _pods(prepared: Prepared, found: Site) -> Iterator[Result]:
    for host in site.hosts(prepared):
        pod, why = found.pods.get(host.name), found.waiting.get(host.name, "")
        detail = f"{pod.name} {pod.address}" if pod else why
        yield Result(check="test-pods", where=host.name, ok=pod is not None, detail=detail, hint=f"On {host.name}: journalctl -u kubelet -n 50")


def _asked(prepared: Prepared, pool: Pool, found: Site) -> list[Result]:
    """Every host asks, all at the same time."""
    spec, end_s = prepared.spec, clock.monotonic_s() + PATIENCE_S
    doors = topology.targets_of(spec, ports.NODEPORT_TCP)
    neighbours = {host.name: _another(doors, host, n) for n, host in enumerate(spec.hosts)}

    def ask(host: Host, connection: Connection) -> list[Result]:
        asking = Asking(site=found, host=host, neighbour=neighbours[host.name], connection=connection, end_s=end_s)
        return list(_ask(asking)) if found.pods else []

    outcomes = pool.map(ask)
    results = [result for outcome in outcomes.values() if outcome.ok for result in outcome.get()]
    errors = [(name, outcome.error) for name, outcome in outcomes.items() if outcome.error is not None]
    return results + [Result(check="reachable", where=name, ok=False, detail=error.message, hint=error.hint) for name, error in errors]


def _another(hosts: Sequence[Host], host: Host, turn: int) -> Host:
    """One of *hosts* that is not *host* (itself where it is alone); with a *turn* for each host that asks, all of them are asked."""
    others = [other for other in hosts if other is not host] or hosts
    return others[turn % len(others)]


def _ask(asking: Asking) -> Iterator[Result]:
    if asking.host.is_master:  # first: meanwhile kube-proxy, which works once a second, learns of the new services
        yield _logs(asking)
        yield _exec(asking)
    if asking.pod is not None:
        yield _pod_to_pod(asking, asking.pod)
        yield _dns(asking, asking.pod)
    yield _cluster_ip(asking)
    yield _node_port(asking)


def _result(asking: Asking, check_: str, where: str, question: Callable[[], str], hint: str) -> Result:
    """Ask until there is an answer. CommandError of *question* is the evidence when there is none."""
    while True:
        try:
            return Result(check=check_, where=where, ok=True, detail=question())
        except CommandError as error:
            if clock.monotonic_s() >= asking.end_s:
                return Result(check=check_, where=where, ok=False, detail=error.message, hint=hint)
        clock.pause(PAUSE_S)


def _from_pod(asking: Asking, pod: Pod, target: str, port: int) -> str:
    """What *target* answers to *pod*: the name of the pod that was reached."""
    query = urlencode({"host": target, "port": port, "protocol": "http", "request": "hostname", "tries": 1})
    answer = http.get(asking.connection, pod.address, POD_PORT, f"/dial?{query}", timeout_s=ANSWER_S)
    try:
        said = json.loads(answer)
        return str(said["responses"][0])
    except (ValueError, LookupError, TypeError):
        raise CommandError(f"from {pod.address}: {_errors(answer)}") from None


def _errors(answer: str) -> str:
    try:
        return str(json.loads(answer)["errors"][0])
    except (ValueError, LookupError, TypeError):
        return answer.strip()[:200] or "an empty answer"


def _expect(name: str, wanted: frozenset[str], place: str) -> str:
    if name not in wanted:
        raise CommandError(f"{place} answered as {name[:80]!r}, which is none of the test pods")
    return name


def _pod_to_pod(asking: Asking, pod: Pod) -> Result:
    """The first that cannot be reached fails the question, with a hint that names its address."""
    others = {host: other for host, other in asking.site.pods.items() if host != asking.host.name}
    reached: set[str] = set()

    def question() -> str:
        failed = []
        for host in [host for host in others if host not in reached]:
            try:
                _expect(_from_pod(asking, pod, others[host].address, POD_PORT), frozenset({others[host].name}), others[host].address)
                reached.add(host)
            except CommandError as error:
                failed.append(f"{host}: {error.message}")
            if len(failed) == MAX_FAILURES:
                break
        if failed:
            raise CommandError(f"{len(others) - len(reached)} of {len(others)} pods not reached: {'; '.join(failed)}")
        return f"{pod.address} reaches the pods of {', '.join(sorted(reached)) or 'no other host: there is none'}"

    targets = " ".join(other.address for other in list(others.values())[:1])
    return _result(asking, "pod-to-pod", asking.host.name, question, f"On {asking.host.name}: ip route get {targets}; nft list ruleset")


def _dns(asking: Asking, pod: Pod) -> Result:
    """The name of our own service leads to one of our pods; the API's, to a server that wants TLS."""

    def question() -> str:
        service = f"testserver.{asking.site.namespace}.svc"
        _expect(_from_pod(asking, pod, "testserver", SERVICE_PORT), asking.site.names, service)
        try:
            _from_pod(asking, pod, API_NAME, 443)
        except CommandError as error:
            if SPOKE_PLAIN_HTTP not in error.message:
                raise
        return f"{API_NAME} and {service} are found from {pod.address}"

    return _result(asking, "dns", asking.host.name, question, "kubectl -n kube-system logs -l k8s-app=kube-dns --tail=20")


def _cluster_ip(asking: Asking) -> Result:
    """From the pod, and from the host itself, as its own daemons ask."""
    address, pod = asking.site.service, asking.pod

    def question() -> str:
        place = f"{address}:{SERVICE_PORT}"
        own = _expect(http.get(asking.connection, address, SERVICE_PORT, "/hostname", timeout_s=ANSWER_S), asking.site.names, place)
        if pod is None:
            return f"{place} answers as {own}"
        theirs = _expect(_from_pod(asking, pod, address, SERVICE_PORT), asking.site.names, place)
        return f"{place} answers as {own}, and to {pod.address} as {theirs}"

    return _result(asking, "cluster-ip", asking.host.name, question, f"On {asking.host.name}: journalctl -u kube-proxy -n 50")


def _node_port(asking: Asking) -> Result:
    """The address of another host that has such ports, dialled from here."""
    there, port = asking.neighbour, asking.site.node_port

    def question() -> str:
        place = f"{there.address}:{port}"
        answer = http.get(asking.connection, str(there.address), port, "/hostname", timeout_s=ANSWER_S)
        return f"{place}, asked from {asking.host.name}, answers as {_expect(answer, asking.site.names, place)}"

    return _result(asking, "node-port", there.name, question, f"On {there.name}: journalctl -u kube-proxy -n 50; nft list ruleset")


def _logs(asking: Asking) -> Result:
    """Every pod's log, through this master's API server and every kubelet."""

    def question() -> str:
        text = f"{kubectl(asking.host)} -n {sh(asking.site.namespace)} logs -l app=testserver --prefix --tail=1\n"
        output = _kubectl(asking, text)
        silent = sorted(host for host, pod in asking.site.pods.items() if f"/{pod.name}/" not in output)
        if silent:
            raise CommandError(f"no log of the pods on {', '.join(silent)}")
        return f"the logs of {counted(len(asking.site.pods), 'pod')}, through the kubelets of {', '.join(sorted(asking.site.pods))}"

    hint = f"On {asking.host.name}: journalctl -u kube-apiserver -n 50; the kubelets' port is {ports.KUBELET.number}"
    return _result(asking, "logs", asking.host.name, question, hint)


def _exec(asking: Asking) -> Result:
    """A program in a container, started through this master's API server: the server's own binary, the only one that an image surely has."""
    host, pod = next(iter(asking.site.pods.items()))

    def question() -> str:
        output = _kubectl(asking, f"{kubectl(asking.host)} -n {sh(asking.site.namespace)} exec {sh(pod.name)} -- /proc/1/exe --help\n")
        if "netexec" not in output:
            raise CommandError(f"exec in {pod.name}: {output.strip()[:200]!r}")
        return f"a program ran in {pod.name} on {host}"

    return _result(asking, "exec", asking.host.name, question, f"On {host}: journalctl -u kubelet -u containerd -n 50")


def _kubectl(asking: Asking, text: str) -> str:
    code, output, stderr = cluster.one(asking.connection, text, deadline_s=20)
    if code != 0:
        raise CommandError(f"kubectl: {stderr.strip()[-300:]}", host=asking.host.name)
    return output.decode("utf-8", "replace")
