"""A living cluster is changed by editing its inventory: the plan names just what the edit needs, ``up`` does that, the second ``up`` nothing.

Twenty requests a second go through a worker meanwhile; what each edit costs them is counted, and where it must cost nothing, that is asserted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import pytest
import yaml
from cryptography import x509

from kbootstrap import lab as labs
from kbootstrap.catalog import paths, ports
from kbootstrap.engine import run
from kbootstrap.errors import PreflightError
from kbootstrap.remote.tls import served_certificate
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.etcd import inside
from tests.lab.load import Load, loading
from tests.lab.test_certs import nothing_lost, restarted, started
from tests.lab.test_failover import opened

Record = Callable[[str, object], None]
API = "service/kube-apiserver.service"
OWN_START_S = 20.0  # a node's own status follows its kubelet's start within ten seconds
OWN_PORT = 7443  # of the load balancer that the user is said to have
ELECTING = ("kube-controller-manager", "kube-scheduler")  # who leads ends by itself when its API server is away for ten seconds

# What the endpoint's proxy does, on another port and for everybody: a load balancer that asks API servers whether they are ready.
_BALANCER = f"""
mkdir -p /root/lb; install -m 0644 {paths.CA} /root/lb/ca.crt; install -m 0600 {paths.HEALTH_PEM} /root/lb/health.pem
sed -e 's#{paths.ENDPOINT_RUN}#/root/lb#' -e 's#127.0.0.1:6443#0.0.0.0:{OWN_PORT}#' {paths.ENDPOINT_CONFIG} >/root/lb/lb.cfg
systemd-run -q --unit=lb /usr/sbin/haproxy -Ws -f /root/lb/lb.cfg
until ss -Hltn | grep -q :{OWN_PORT}; do sleep 0.1; done; sleep 2
"""


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbedit", masters=3, workers=1) as found:
        found.up()
        inside(found, "w1", _BALANCER)
        yield found


def edit(cluster: Cluster, **settings: object) -> None:
    """The keys of the inventory's top that *settings* names; None takes one out."""
    path = cluster.folder.cluster_yml
    document = yaml.safe_load(path.read_text())
    for key, value in settings.items():
        document.pop(key, None)
        document |= {} if value is None else {key: value}
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def planned(cluster: Cluster) -> set[str]:
    return {change.id for change in cluster.plan().picture.plan.changes()}


def on_masters(cluster: Cluster, *keys: str) -> set[str]:
    return {f"{master.name}:{key}" for master in cluster.lab.masters for key in keys}


def on_all(cluster: Cluster, *keys: str) -> set[str]:
    return {f"{host.name}:{key}" for host in cluster.lab.hosts for key in keys}


@contextmanager
def under_load(cluster: Cluster, *ports_: int) -> Iterator[list[Load]]:
    """Requests through each of *ports_* of w1, some seconds longer than the block."""
    with opened(cluster) as hosts:
        streams = [loading(hosts.on("w1"), cluster.folder.admin_conf, port=port) for port in ports_]
        loads = [stream.__enter__() for stream in streams]
        try:
            time.sleep(2)
            yield loads
            time.sleep(3)
        finally:
            for stream in streams:
                stream.__exit__(None, None, None)


def applied(cluster: Cluster, wanted: set[str]) -> run.Outcome:
    """The plan is *wanted* and no more; it is done; a second ``up`` finds nothing to do."""
    assert planned(cluster) == wanted
    outcome = cluster.up()
    assert outcome.applied
    again = cluster.up()
    assert again.picture.plan.empty
    assert not again.applied
    return outcome


def api_alone(cluster: Cluster, before: dict[str, str]) -> None:
    """Nothing but the API servers restarted."""
    changed = {unit for unit in restarted(before, started(cluster)) if not any(name in unit for name in ELECTING)}
    assert changed == {f"{master.name}:kube-apiserver.service" for master in cluster.lab.masters}


def ready_since(cluster: Cluster) -> dict[str, float]:
    """Node → since when it is Ready, which each of them is (seconds since the epoch)."""
    text = "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=='Ready')].lastTransitionTime} "
    text += "{.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}"
    rows = [line.split() for line in cluster.kubectl("get", "nodes", "-o", f"jsonpath={text}").splitlines()]
    assert {status for _, _, status in rows} == {"True"}, rows
    return {name: datetime.fromisoformat(since).timestamp() for name, since, _ in rows}


def cut_off(cluster: Cluster, before: Mapping[str, float]) -> dict[str, float]:
    """Nodes that were not Ready meanwhile, with the seconds from their kubelet's start until they were again. A kubelet that starts may tell of
    itself before it has asked its runtime, and is not Ready for that moment: that is none."""
    found = {name: since for name, since in ready_since(cluster).items() if since != before[name]}
    began = 'date -d "$(systemctl show -p ActiveEnterTimestamp --value kubelet)" +%s'
    lasted = {name: since - float(labs.execute(cluster.lab.host(name), ["sh", "-c", began]).stdout) for name, since in found.items()}
    return {name: seconds for name, seconds in lasted.items() if not -2 <= seconds < OWN_START_S}


@pytest.mark.long(seconds=80)
def test_audit_rules(own: Cluster, record_testsuite_property: Record) -> None:
    before = started(own)
    rule = {"level": "RequestResponse", "verbs": ["create"], "resources": [{"group": "", "resources": ["namespaces"]}]}
    edit(own, audit={"rules": [rule]})
    with under_load(own, ports.API.number) as (load,):
        applied(own, on_masters(own, "/etc/kubernetes/audit-policy.yaml", API))
    nothing_lost(load, record_testsuite_property)
    api_alone(own, before)
    own.kubectl("create", "namespace", "audited")
    said = "".join(labs.execute(host, ["grep", "-h", '"requestURI":"/api/v1/namespaces?', paths.AUDIT_LOG]).stdout for host in own.lab.masters)
    events = [json.loads(line) for line in said.splitlines()]
    (mine,) = [event for event in events if event["verb"] == "create" and event["objectRef"].get("name") == "audited"]
    assert mine["level"] == "RequestResponse"
    assert mine["requestObject"]["metadata"]["name"] == "audited"


@pytest.mark.long(seconds=80)
def test_defaults_of_pod_security(own: Cluster, record_testsuite_property: Record) -> None:
    before = started(own)
    privileged = ("run", "x", "--image=x", "--privileged", "--dry-run=server")
    own.kubectl(*privileged)
    own.kubectl("create", "namespace", "storage")
    edit(own, pod_security={"enforce": "baseline", "exempt": ["storage"]})
    with under_load(own, ports.API.number) as (load,):
        applied(own, on_masters(own, "/etc/kubernetes/admission.yaml", API))
    nothing_lost(load, record_testsuite_property)
    api_alone(own, before)
    assert 'violates PodSecurity "baseline:latest"' in own.kubectl(*privileged, fails=True)
    own.kubectl(*privileged, "--namespace=storage")
    own.kubectl(*privileged, "--namespace=kube-system")


@pytest.mark.long(seconds=80)
def test_further_names_of_the_api(own: Cluster, record_testsuite_property: Record) -> None:
    before = started(own)
    edit(own, certificates={"extra_sans": ["api.example.com", "192.0.2.7"]})
    with under_load(own, ports.API.number) as (load,):
        applied(own, on_masters(own, paths.certificate("apiserver"), paths.key("apiserver"), API))
    nothing_lost(load, record_testsuite_property)
    api_alone(own, before)
    with opened(own) as hosts:
        for master in own.lab.masters:
            der = served_certificate(hosts.on("w1"), str(master.address), ports.API.number)
            names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert "api.example.com" in names.get_values_for_type(x509.DNSName)
            assert "192.0.2.7" in map(str, names.get_values_for_type(x509.IPAddress))


def balancer(cluster: Cluster) -> str:
    return str(cluster.lab.host("w1").address)


@pytest.mark.long(seconds=60)
def test_an_endpoint_that_leads_nowhere_is_refused(own: Cluster) -> None:
    """Before anything changes on a host: no node is led away from the API."""
    before = started(own)
    edit(own, endpoint={"kind": "external", "address": balancer(own), "port": OWN_PORT + 1})
    with pytest.raises(PreflightError, match="does not lead to this cluster") as refused:
        own.up()
    assert {problem.where for problem in refused.value.problems} == {host.name for host in own.lab.hosts}
    assert "refused" in str(refused.value.problems[0]).lower()
    edit(own, endpoint=None)
    own.up()  # what had been issued for that address already
    assert {unit for unit in restarted(before, started(own)) if "kubelet" in unit or "proxy" in unit} == set()


@pytest.mark.long(seconds=150)
def test_the_endpoint_moves_to_a_load_balancer_and_back(own: Cluster, record_testsuite_property: Record) -> None:
    """Who asks the load balancer loses nothing. Who goes on asking the old endpoint loses all from its end on, and nothing before it."""
    ready = ready_since(own)
    edit(own, endpoint={"kind": "external", "address": balancer(own), "port": OWN_PORT})
    units = on_all(own, "service/kubelet.service", "service/kube-proxy.service") | on_masters(own, API)
    configs = on_all(own, paths.kubeconfig("kubelet"), paths.kubeconfig("kube-proxy")) | on_masters(own, paths.kubeconfig("admin"))
    leaving = on_all(own, "service/kb-endpoint.service", paths.unit("kb-endpoint.service"), paths.ENDPOINT_CONFIG, paths.HEALTH_PEM)
    certificates = on_masters(own, paths.certificate("apiserver"), paths.key("apiserver"))
    with under_load(own, OWN_PORT, ports.API.number) as (new, old):
        applied(own, units | configs | leaving | certificates | on_all(own, "systemd/daemon-reload"))
        left = time.time()
    nothing_lost(new, record_testsuite_property)
    record_testsuite_property("the old endpoint", str(old))
    assert old.lost, "it is gone"
    assert {why for _, why in old.lost if "refused" not in why.lower()} == set(), old.lost[:3]
    assert left - min(when for when, _ in old.lost) < 60
    document = yaml.safe_load(own.folder.admin_conf.read_text())
    assert [each["cluster"]["server"] for each in document["clusters"]] == [f"https://{balancer(own)}:{OWN_PORT}"]
    assert cut_off(own, ready) == {}
    own.kubectl("get", "nodes")

    edit(own, endpoint=None)
    with under_load(own, OWN_PORT) as (load,):
        assert own.up().applied
        assert own.up().picture.plan.empty
    nothing_lost(load, record_testsuite_property)
    assert cut_off(own, ready) == {}
    with under_load(own, ports.API.number) as (load,):
        pass
    nothing_lost(load, record_testsuite_property)


@pytest.mark.long(seconds=60)
def test_the_endpoint_becomes_another_program_and_back(own: Cluster, record_testsuite_property: Record) -> None:
    """The port is free for a moment between the two: what is asked just then is refused. It is counted, and over when ``up`` is."""
    for kind in ("gateway", None):
        ready = ready_since(own)
        edit(own, endpoint=kind)
        with under_load(own, ports.API.number) as (load,):
            assert own.up().applied
            assert own.up().picture.plan.empty
            done = time.time()
        record_testsuite_property(f"endpoint {kind or 'haproxy'}", str(load))
        assert [why for when, why in load.lost if when > done] == []
        assert {why for _, why in load.lost if "refused" not in why.lower()} == set(), load.lost[:3]
        assert cut_off(own, ready) == {}
