"""Whatever somebody changes on a running cluster: the plan names exactly that, ``up`` mends exactly that, and no other daemon notices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import run
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.model.plan import CLUSTER, Plan
from kbootstrap.plan import facts
from kbootstrap.remote.connection import Connection, Running
from kbootstrap.remote.pool import Pool
from tests.lab.conftest import Cluster

RELOAD = "systemd/daemon-reload"
CPU_S = 20.0  # of a second `up`; usually one


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is *do*ne on a host (sh text; arguments of kubectl for the cluster), the keys that a plan must name for it, the units that restart."""

    what: str
    on: str  # master, worker or cluster
    do: str
    keys: tuple[str, ...]
    restarts: tuple[str, ...] = ()


def service(unit: str) -> str:
    return f"service/{unit}"


SILENT = (
    Change(what="a file is edited", on="master", do="echo '# x' >> /etc/kubernetes/audit-policy.yaml", keys=("/etc/kubernetes/audit-policy.yaml",)),
    Change(what="a secret is edited", on="master", do="echo >> /etc/kubernetes/pki/sa.key", keys=("/etc/kubernetes/pki/sa.key",)),
    Change(what="a mode", on="worker", do="chmod 0666 /etc/kubernetes/kubelet.conf", keys=("/etc/kubernetes/kubelet.conf",)),
    Change(what="an owner", on="worker", do="chown nobody /etc/kubernetes/pki/ca.crt", keys=("/etc/kubernetes/pki/ca.crt",)),
    Change(what="a directory's mode", on="master", do="chmod 2777 /var/lib/etcd", keys=("/var/lib/etcd",)),
    Change(what="a file is deleted", on="worker", do="rm /var/lib/kubelet/config.yaml", keys=("/var/lib/kubelet/config.yaml",)),
    Change(
        what="a directory is deleted",
        on="worker",
        do="rm -r /etc/systemd/networkd.conf.d",
        keys=("/etc/systemd/networkd.conf.d", "/etc/systemd/networkd.conf.d/10-kbootstrap.conf"),
    ),
    Change(
        what="a link in place of a file",
        on="worker",
        do="cd /etc/kubernetes; mv endpoint.cfg elsewhere; ln -s elsewhere endpoint.cfg",
        keys=("/etc/kubernetes/endpoint.cfg",),
    ),
    Change(
        what="a unit's text",
        on="master",
        do=f"echo '# x' >> {paths.unit('kube-controller-manager.service')}",
        keys=(paths.unit("kube-controller-manager.service"), RELOAD),
    ),
    Change(what="a unit is disabled", on="worker", do="systemctl disable kube-proxy", keys=(service("kube-proxy.service"),)),
    Change(
        what="a kernel setting",
        on="worker",
        do="echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables",
        keys=("sysctl/net.bridge.bridge-nf-call-ip6tables",),
    ),
    Change(
        what="an object is deleted", on=CLUSTER, do="-n kube-system delete pdb coredns", keys=("manifest/PodDisruptionBudget/kube-system/coredns",)
    ),
    Change(
        what="an object is edited",
        on=CLUSTER,
        do='-n kube-system patch configmap coredns --patch {"data":{"Corefile":"."}}',
        keys=("manifest/ConfigMap/kube-system/coredns",),
    ),
    Change(what="a label is changed", on=CLUSTER, do="label node {worker} node-role.kubernetes.io/worker=x --overwrite", keys=("node/{worker}",)),
    Change(what="a taint is removed", on=CLUSTER, do="taint node {master} node-role.kubernetes.io/control-plane-", keys=("node/{master}",)),
)

RESTARTING = (
    Change(
        what="a unit is stopped",
        on="worker",
        do="systemctl stop kubelet",
        keys=(service("kubelet.service"),),
        restarts=("kubelet.service",),
    ),
    Change(
        what="the runtime is stopped: its images are not lost",
        on="worker",
        do="systemctl stop containerd",
        keys=(service("containerd.service"),),
        restarts=("containerd.service",),
    ),
    Change(
        what="a unit runs with other inputs than the right ones that lie there again",
        on="worker",
        do="cd /var/lib/kube-proxy; cp -p config.yaml good; echo '# x' >> config.yaml; systemctl restart kube-proxy; mv good config.yaml",
        keys=(service("kube-proxy.service"),),
        restarts=("kube-proxy.service",),
    ),
    Change(
        what="nobody knows what a unit was started with",
        on="master",
        do=f"rm {paths.started('kubelet.service')}",
        keys=(service("kubelet.service"),),
        restarts=("kubelet.service",),
    ),
    Change(
        what="a binary is deleted while it runs",
        on="master",
        do=f"rm {paths.BIN}/kube-scheduler",
        keys=(f"{paths.BIN}/kube-scheduler", service("kube-scheduler.service")),
        restarts=("kube-scheduler.service",),
    ),
    Change(
        what="a byte of a binary is flipped in place",
        on="master",
        do=f"printf x | dd of={paths.CNI_BIN}/portmap bs=1 seek=4321 conv=notrunc status=none",
        keys=(f"{paths.CNI_BIN}/portmap", service("containerd.service")),
        restarts=("containerd.service",),
    ),
)


def place(cluster: Cluster, on: str) -> labs.LabHost:
    return (cluster.lab.masters if on == "master" else cluster.lab.workers)[-1]


def named(cluster: Cluster, text: str) -> str:
    return text.replace("{master}", place(cluster, "master").name).replace("{worker}", place(cluster, "worker").name)


def make(cluster: Cluster, change: Change) -> None:
    if change.on == CLUSTER:
        cluster.kubectl(*(word for word in named(cluster, change.do).split()))
        return
    done = labs.execute(place(cluster, change.on), ["sh", "-ec", change.do])
    assert done.returncode == 0, done.stderr


def ids(cluster: Cluster, change: Change) -> set[str]:
    host = CLUSTER if change.on == CLUSTER else place(cluster, change.on).name
    return {f"{host}:{named(cluster, key)}" for key in change.keys}


def planned(plan: Plan) -> set[str]:
    return {change.id for change in plan.changes()}


def invocations(cluster: Cluster, prepared: Prepared) -> dict[tuple[str, str], str]:
    """(host, unit) → InvocationID, a new one for each start; of every unit of ours on every host."""
    found: dict[tuple[str, str], str] = {}
    for host in cluster.lab.hosts:
        units = prepared.desired.names(host.name)["service"]
        output = labs.execute(host, ["systemctl", "show", "-p", "InvocationID", "--value", *units]).stdout.split()
        assert len(output) == len(units), f"{host.name}: {units} {output}"
        found |= {(host.name, unit): invocation for unit, invocation in zip(units, output, strict=True)}
    return found


@pytest.mark.parametrize("changes", [SILENT, RESTARTING], ids=["nothing restarts", "restarts"])
def test_the_plan_names_exactly_what_was_changed_and_up_mends_exactly_that(cluster: Cluster, changes: tuple[Change, ...]) -> None:
    outcome = cluster.plan()
    assert planned(outcome.picture.plan) == set()
    before = invocations(cluster, outcome.prepared)
    known: set[str] = set()
    for change in changes:
        make(cluster, change)
        now = planned(cluster.plan().picture.plan)
        assert now - known == ids(cluster, change), change.what
        assert known <= now, f"{change.what}: what was changed before is seen no more"
        known = now
    mended = cluster.up()
    assert planned(mended.picture.plan) == known
    assert planned(cluster.plan().picture.plan) == set()
    after = invocations(cluster, mended.prepared)
    assert {unit for unit in before if before[unit] != after[unit]} == {(place(cluster, c.on).name, unit) for c in changes for unit in c.restarts}


def test_an_image_that_was_removed_comes_back(cluster: Cluster) -> None:
    host = place(cluster, "worker")
    desired = cluster.plan().prepared.desired
    image = desired.names(host.name)["image"][-1]
    done = labs.execute(host, [f"{paths.BIN}/ctr", "-n", "k8s.io", "images", "rm", "--sync", image])
    assert done.returncode == 0, done.stderr
    assert planned(cluster.up().picture.plan) == {f"{host.name}:image/{image}"}
    assert cluster.plan().picture.plan.empty


def test_the_plan_shows_what_was_edited_and_of_a_secret_only_digests(cluster: Cluster) -> None:
    host = place(cluster, "master")
    text, secret = "/etc/kubernetes/audit-policy.yaml", paths.SA_KEY
    key = cluster.plan().prepared.pki.sa_key.decode().splitlines()[1]
    done = labs.execute(host, ["sh", "-ec", f"echo '# edited' >> {text}; echo 'former secret' >> {secret}"])
    assert done.returncode == 0, done.stderr
    outcome = cluster.plan()
    changes = {change.key: change for change in outcome.picture.plan.changes()}
    assert set(changes) == {text, secret}
    assert "# edited" in (changes[text].before or "")
    assert "# edited" not in (changes[text].after or "")
    for side in (changes[secret].before, changes[secret].after):
        assert (side or "").startswith("sha256:")
    assert key not in repr(outcome)
    assert "former secret" not in repr(outcome)
    cluster.up(only=(f"{host.name}:{text}",))
    assert planned(cluster.plan().picture.plan) == {f"{host.name}:{secret}"}
    cluster.up(limit=(host.name,))
    assert cluster.plan().picture.plan.empty


class Counting:
    """``Connection`` that notes the programs it runs."""

    def __init__(self, inner: Connection, programs: list[tuple[str, str]]) -> None:
        self.host = inner.host
        self._inner = inner
        self._programs = programs
        self.dial = inner.dial
        self.close = inner.close
        self.__enter__ = inner.__enter__

    def run(self, program: str, **more: object) -> Running:
        self._programs.append((self.host, program))
        return self._inner.run(program, **more)  # type: ignore[arg-type]


@pytest.fixture
def programs(cluster: Cluster) -> Iterator[tuple[Request, list[tuple[str, str]]]]:
    """A request whose connections note what they run, as (host, program)."""
    request, seen = cluster.request(), list[tuple[str, str]]()

    def connect(prepared: Prepared) -> Pool:
        pool = request.connect(prepared)
        return Pool(pool.hosts, lambda host: Counting(pool.connection(host), seen))  # type: ignore[arg-type,return-value]

    yield replace(request, connect=connect), seen


def test_a_second_up_reads_each_host_once_and_touches_nothing(cluster: Cluster, programs: tuple[Request, list[tuple[str, str]]]) -> None:
    request, seen = programs
    before = invocations(cluster, cluster.plan().prepared)
    began = time.process_time()
    outcome = run.up(request)
    cpu_s = time.process_time() - began
    assert not outcome.applied
    assert outcome.picture.plan.empty
    assert all(result.ok for result in outcome.results)
    read = facts.PROBE.splitlines()[0]
    assert sorted(host for host, program in seen if read in program) == sorted(host.name for host in cluster.lab.hosts)
    assert not [program for _, program in seen if "kb_change" in program]
    assert invocations(cluster, outcome.prepared) == before
    assert cpu_s < CPU_S
