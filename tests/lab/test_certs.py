"""Certificates change while the cluster serves: renewed, a CA rotated, everything expired, a rotation killed at each of its boundaries."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from kbootstrap import lab as labs
from kbootstrap.engine import certs, etcd, rotate, run
from kbootstrap.engine import cluster as api
from kbootstrap.engine.apply import Applying, apply, raise_together
from kbootstrap.engine.contact import contact
from kbootstrap.model.resource import Service
from kbootstrap.pki import inspect, issue
from kbootstrap.pki import rotate as phases
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from tests.lab.conftest import Cluster
from tests.lab.load import Load, loading
from tests.lab.test_failover import opened

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
ENDPOINT = "kb-endpoint.service"
Record = Callable[[str, object], None]


@contextmanager
def under_load(cluster: Cluster, worker: str = "w1") -> Iterator[Load]:
    """Twenty requests a second through the endpoint of *worker*, some seconds longer than the block."""
    with opened(cluster) as hosts, loading(hosts.on(worker), cluster.folder.admin_conf) as load:
        time.sleep(2)
        yield load
        time.sleep(3)


def nothing_lost(load: Load, record: Record) -> None:
    record("load", str(load))
    assert load.made > 50, load
    assert load.lost == [], load


def started(cluster: Cluster) -> dict[str, str]:
    """``m1:etcd.service`` → the id of its present process."""
    text = "systemctl show -p Id,InvocationID 'kube*.service' 'etcd.service' 'containerd.service' 'kb-*.service'"
    found = {}
    for host in cluster.lab.hosts:
        said = labs.execute(host, ["sh", "-c", text]).stdout
        for block in said.split("\n\n"):
            pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            found[f"{host.name}:{pairs.get('Id', '')}"] = pairs.get("InvocationID", "")
    return found


def restarted(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {unit for unit, invocation in after.items() if before.get(unit) != invocation}


def renewed(cluster: Cluster, *hosts: str, only: tuple[str, ...] = (), every: bool = False) -> certs.Outcome:
    outcome = certs.renew(cluster.request(limit=hosts), certs.Asked(hosts=hosts, names=only, every=every))
    assert [str(result) for result in outcome.results if not result.ok] == []
    return outcome


def test_the_load_sees_an_endpoint_that_stops(cluster: Cluster) -> None:
    """What never fails proves nothing."""
    with under_load(cluster) as load:
        assert load.lost == []
        labs.execute(cluster.lab.host("w1"), ["sh", "-c", f"systemctl stop {ENDPOINT}; sleep 1; systemctl start {ENDPOINT}"])
    assert load.lost
    assert load.made > len(load.lost)


def test_one_certificate_is_renewed_and_nothing_else_is_touched(cluster: Cluster) -> None:
    before, old = started(cluster), pki_dir.load(cluster.folder.pki)
    outcome = renewed(cluster, "w1", only=("kubelet-server",))
    assert [each.id for each in outcome.prepared.issued] == ["w1/kubelet-server"]
    assert restarted(before, started(cluster)) == {"w1:kubelet.service"}
    new = pki_dir.load(cluster.folder.pki)
    assert {i for i in new.pairs if new.pairs[i] != old.pairs[i]} == {"w1/kubelet-server"}
    assert cluster.plan().picture.plan.empty


def test_new_certificates_of_the_endpoint_refuse_nobody(cluster: Cluster, record_testsuite_property: Record) -> None:
    before = started(cluster)
    with under_load(cluster) as load:
        renewed(cluster, "w1", only=("endpoint-health",))
        time.sleep(12)  # the old process gives up what it still serves after ten
    nothing_lost(load, record_testsuite_property)
    assert restarted(before, started(cluster)) == set(), "reloaded"
    assert cluster.plan().picture.plan.empty


@pytest.mark.long(seconds=100)
def test_all_are_renewed_and_no_request_is_lost(cluster: Cluster, record_testsuite_property: Record) -> None:
    before = started(cluster)
    with under_load(cluster) as load:
        outcome = renewed(cluster, every=True)
    nothing_lost(load, record_testsuite_property)
    assert len(outcome.prepared.issued) == len(profiles(outcome.prepared.spec))
    wanted = {f"{h}:{r.name}" for h in outcome.prepared.desired.hosts for r in outcome.prepared.desired.resources(h) if isinstance(r, Service)}
    assert restarted(before, started(cluster)) == {unit for unit in wanted if ENDPOINT not in unit}
    assert cluster.plan().picture.plan.empty


@pytest.mark.long(seconds=60)
def test_a_new_san_reissues_the_api_servers_certificates_alone(cluster: Cluster) -> None:
    before, path = started(cluster), cluster.folder.cluster_yml
    text = path.read_text()
    assert "certificates:" not in text
    path.write_text(text + "certificates: {extra_sans: [api.example.com]}\n")
    try:
        outcome = renewed(cluster)
        assert {each.id for each in outcome.prepared.issued} == {f"{m.name}/apiserver" for m in cluster.lab.masters}
        mine = {f"{m.name}:kube-apiserver.service" for m in cluster.lab.masters}
        assert {f"{c.host}:{c.resource.name}" for c in outcome.plan.changes() if isinstance(c.resource, Service)} == mine
        electing = ("kube-controller-manager", "kube-scheduler")  # who leads ends by itself when its API server is away for ten seconds
        assert {unit for unit in restarted(before, started(cluster)) if not any(name in unit for name in electing)} == mine
        assert cluster.plan().picture.plan.empty
    finally:
        path.write_text(text)
        cluster.up()


def move(cluster: Cluster, name: str, old: str, new: str) -> None:
    """The host called *name* gets another address, and the inventory says so."""
    host = next(host for host in cluster.lab.hosts if host.name == name)
    gateway = f"{new.rpartition('.')[0]}.1"
    change = f"ip addr del {old}/24 dev eth0; ip addr add {new}/24 dev eth0 && ip route replace default via {gateway}"
    labs.execute(host, ["sh", "-c", change])
    for path in (cluster.folder.cluster_yml, cluster.folder.known_hosts):
        path.write_text(re.sub(rf"{re.escape(old)}\b", new, path.read_text()))


@pytest.mark.long(seconds=120)
def test_a_master_moves_to_another_address_and_nobody_else_restarts(cluster: Cluster) -> None:
    """etcd knows its members by their addresses: the others are told the new one before it listens there."""
    before, old = started(cluster), str(next(host for host in cluster.lab.hosts if host.name == "m2").address)
    new = f"{old.rpartition('.')[0]}.99"
    try:
        move(cluster, "m2", old, new)
        outcome = cluster.up()
        issued = {each.id for each in outcome.prepared.issued}
        assert issued == {"m2/etcd-server", "m2/etcd-peer", "m2/apiserver", "m2/kubelet-server"}
        others = {unit for unit in restarted(before, started(cluster)) if not unit.startswith("m2:")}
        electing = ("kube-controller-manager", "kube-scheduler")
        assert {unit for unit in others if not any(name in unit for name in (*electing, "kb-"))} == set(), "kb-: the endpoint, routes, firewall"
        members = labs.execute(cluster.lab.masters[0], ["sh", "-c", f"{etcdctl(contact(cluster.folder).spec.host('m1'))} member list"]).stdout
        assert f"https://{new}:2380" in members
        assert old not in members
        assert cluster.plan().picture.plan.empty
    finally:
        move(cluster, "m2", new, old)
        cluster.up()


def expire(cluster: Cluster) -> None:
    """Every leaf was issued so long ago that it has expired, on the operator's machine and on the hosts, and everything starts with that."""
    folder, known = cluster.folder, contact(cluster.folder)
    pki, table = pki_dir.load(folder.pki), profiles(known.spec)
    then = clock.now() - timedelta(days=known.spec.certificates.leaf_days + 2)
    past, issued = issue.complete(
        pki, table, now=then, certificates=known.spec.certificates, entropy=SystemEntropy(), anew={profile.id for profile in table}
    )
    assert all(inspect.describe(pair.cert_pem).not_after < clock.now() for pair in past.pairs.values())
    pki_dir.save(folder.pki, past, issued)
    request, prepared = cluster.request(), certs.wants(known, past)
    with request.connect(prepared) as pool:
        found = certs.look(request, prepared, pool)
        applying = Applying(spec=known.spec, pool=pool, listener=request.listener, ledgers={}, pushes={})
        raise_together(apply(applying, found.plan.stages[:1]))
        units = "etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kb-endpoint"
        pool.map(lambda _, connection: api.one(connection, f"for u in {units}; do systemctl --no-block restart $u 2>/dev/null; done"))
        end = time.monotonic() + 120
        while etcd.has_quorum(prepared, pool):
            assert time.monotonic() < end
            time.sleep(1)
        time.sleep(10)  # it is no start that takes its time
        assert not etcd.has_quorum(prepared, pool)
        assert [m.name for m in known.spec.masters if api.ready(pool.connection(m), m)] == []


def _renew(cluster: Cluster) -> None:
    renewed(cluster)


def _up(cluster: Cluster) -> None:
    cluster.up()


@pytest.mark.parametrize("back", [_renew, _up], ids=["certs.renew", "cluster.up"])
@pytest.mark.long(seconds=110)
def test_everything_has_expired_and_one_command_brings_it_back(cluster: Cluster, back: Callable[[Cluster], None]) -> None:
    cluster.kubectl("create", "configmap", f"kept-{back.__name__.strip('_')}", "--from-literal=a=b")
    expire(cluster)
    back(cluster)
    verified = run.verify(cluster.request())
    assert [str(result) for result in verified.results if not result.ok] == []
    assert verified.picture.plan.empty
    assert cluster.kubectl("get", "configmap", f"kept-{back.__name__.strip('_')}", "-o", "jsonpath={.data.a}") == "b"
    cluster.kubectl("delete", "configmap", f"kept-{back.__name__.strip('_')}")


def rotated(cluster: Cluster, ca: str, **options: bool) -> rotate.Outcome:
    outcome = rotate.run(cluster.request(), rotate.Asked(name=rotate.KINDS[ca], **options))
    assert [str(result) for result in outcome.results if not result.ok] == []
    return outcome


@pytest.mark.parametrize("ca", ["cluster", "etcd", "front-proxy", "service-account"])
@pytest.mark.long(seconds=200)
def test_a_ca_is_rotated_and_no_request_is_lost(cluster: Cluster, ca: str, record_testsuite_property: Record) -> None:
    name = rotate.KINDS[ca]
    old = pki_dir.load(cluster.folder.pki)
    with under_load(cluster) as load:
        outcome = rotated(cluster, ca)
    nothing_lost(load, record_testsuite_property)
    assert not outcome.waits, "only coredns runs, which is restarted"
    assert [step.title for step in outcome.steps] == ["TRUST", "REISSUE", "DROP"]
    new = pki_dir.load(cluster.folder.pki)
    assert phases.phase(new, name) is phases.Phase.IDLE
    if ca == "service-account":
        assert new.sa_trust == new.sa_pub != old.sa_pub
    else:
        assert new.trust(name) == new.cas[name].cert_pem != old.cas[name].cert_pem
        mine = [profile for profile in profiles(contact(cluster.folder).spec) if profile.issuer == name]
        assert mine
        assert all(inspect.is_signed_by(new.pairs[profile.id].cert_pem, new.cas[name].cert_pem) for profile in mine)
    verified = run.verify(cluster.request())
    assert [str(result) for result in verified.results if not result.ok] == []
    assert verified.picture.plan.empty
