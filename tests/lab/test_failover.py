"""A master of three dies in the worst way, while a client on a worker writes two objects a second through the worker's own endpoint.

What it may see is one gap: etcd's election. Nothing fails behind it, and bringing the master back touches no other host.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from kbootstrap import kubeconfig
from kbootstrap import lab as labs
from kbootstrap.catalog import names, ports
from kbootstrap.engine import cluster as api
from kbootstrap.engine import run
from kbootstrap.engine.prepare import prepare
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.model.resource import Binary
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

GAP_S = 3.0  # a write every half second: a pause of this length is no noise
TAIL_S = 2.0  # the proxy asks each API server once a second: the second one is known to be back up to two checks after the first
LONGEST_GAP_S = 25.0  # usual: 5 s, most of it etcd's election
_LOOP = """\
cd /root/writer; i=0
while [ -e running ]; do
  i=$((i+1)); began=$(date +%s.%N)
  ( ./kubectl --kubeconfig=conf --cache-dir=cache --request-timeout=60s create configmap "$1-$i" --from-literal=a=b >out-$i 2>&1
    echo "$began $(date +%s.%N) $? $(tail -n 1 out-$i)"; rm -f out-$i ) &
  sleep 0.5
done
wait
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One object written: when it began and ended (seconds since the epoch), kubectl's exit code and last word."""

    began: float
    ended: float
    exit_code: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A prepared cluster with connections to its hosts."""

    prepared: Prepared
    pool: Pool

    def on(self, name: str) -> Connection:
        return self.pool.connection(self.prepared.spec.host(name))


@contextmanager
def opened(cluster: Cluster) -> Iterator[Opened]:
    request: Request = cluster.request()
    prepared = prepare(request.folder, request.listener, dry=True)
    with request.connect(prepared) as pool:
        yield Opened(prepared=prepared, pool=pool)


def leader(hosts: Opened) -> str:
    """The master whose etcd member leads."""
    for master in hosts.prepared.spec.masters:
        code, output, stderr = api.one(hosts.on(master.name), f"{etcdctl(master)} endpoint status -w json", deadline_s=30)
        assert code == 0, stderr
        status = json.loads(output)[0]["Status"]
        if status["leader"] == status["header"]["member_id"]:
            return master.name
    raise AssertionError("no member leads")


@contextmanager
def writing(hosts: Opened, worker: str, prefix: str) -> Iterator[list[Write]]:
    """Two objects a second through the endpoint of *worker*; the list is complete once the block is left."""
    connection = hosts.on(worker)
    pki = hosts.prepared.pki
    binary = next(r for r in hosts.prepared.desired.resources("m1") if isinstance(r, Binary) and r.name.endswith("/kubectl"))
    server = {"endpoint": f"https://127.0.0.1:{ports.API.number}"}
    config = kubeconfig.build("test", server, ca_pem=pki.trust(names.CLUSTER_CA), user="admin", pair=pki.pair("admin"))
    setup = f"mkdir -p /root/writer; cd /root/writer; head -c {binary.blob.size} >kubectl; chmod 700 kubectl; cat >conf; touch running"
    code, _, stderr = api.one(connection, setup, binary.blob.path.read_bytes() + config.encode())
    assert code == 0, stderr
    writes: list[Write] = []

    def read() -> None:
        for line in connection.run(f"set -- {prefix}\n{_LOOP}", deadline_s=600).lines():
            began, ended, exit_code, said = line.decode().split(" ", 3)
            writes.append(Write(began=float(began), ended=float(ended), exit_code=int(exit_code), said=said))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield writes
    finally:
        api.one(connection, "rm -f /root/writer/running")
        reader.join(timeout=120)
        api.one(connection, "rm -rf /root/writer")  # a credential of the operator's; other tests search hosts for such


def gaps(writes: list[Write]) -> list[tuple[float, float]]:
    """The pauses between successes that are longer than GAP_S, as (begin, end)."""
    ends = sorted(write.ended for write in writes if write.exit_code == 0)
    return [(a, b) for a, b in itertools.pairwise(ends) if b - a > GAP_S]


def invocations(hosts: Opened, but: str) -> dict[str, str]:
    """Every unit's InvocationID on all hosts but one."""
    text = "systemctl show -p Id,InvocationID 'kube*.service' 'etcd.service' 'containerd.service' 'kb-*.service'"
    others = [host for host in hosts.prepared.spec.hosts if host.name != but]
    outcomes = hosts.pool.map(lambda _, connection: api.one(connection, text)[1].decode(), others)
    return {name: outcome.get() for name, outcome in outcomes.items()}


_SILENCE = """\
table inet silence {
  chain i { type filter hook input priority -300; policy drop; iif lo accept; }
  chain o { type filter hook output priority -300; policy drop; oif lo accept; }
}
"""


def drop(lab: labs.Lab, name: str) -> None:
    """Every packet of the host is dropped, silently: its connections hang instead of ending."""
    assert labs.execute(lab.host(name), ["nft", "-f", "-"], text=_SILENCE).returncode == 0


def heal(lab: labs.Lab, name: str) -> None:
    assert labs.execute(lab.host(name), ["nft", "delete", "table", "inet", "silence"]).returncode == 0


Fault = Callable[[labs.Lab, str], None]


def _power_cut(lab: labs.Lab, name: str) -> None:
    labs.power_cut(lab.host(name))


def _crash(lab: labs.Lab, name: str) -> None:
    labs.crash(lab.host(name))


def _boot(lab: labs.Lab, name: str) -> None:
    labs.boot(lab.host(name))


@pytest.mark.parametrize(("fault", "mend"), [(_power_cut, _boot), (_crash, _boot), (drop, heal)], ids=["power-cut", "crash", "packets-dropped"])
@pytest.mark.long(seconds=110)
def test_a_lost_leader_is_one_gap(cluster: Cluster, fault: Fault, mend: Fault, record_testsuite_property: Callable[[str, object], None]) -> None:
    with opened(cluster) as hosts:
        victim = leader(hosts)
        with writing(hosts, "w2", f"t{int(time.time())}") as writes:
            time.sleep(8)
            cut = time.time()
            fault(cluster.lab, victim)
            time.sleep(50)
    found = gaps(writes)
    record_testsuite_property("gap_s", [round(b - a, 1) for a, b in found])
    assert len(found) == 1, found
    begin, end = found[0]
    assert cut - 2 < begin < cut + GAP_S
    assert end - begin < LONGEST_GAP_S
    late = [write for write in writes if write.exit_code and not (write.ended > begin and write.began < end + TAIL_S)]  # not under way in the gap
    assert not late, late
    assert sum(write.began > end + TAIL_S and write.exit_code == 0 for write in writes) > 20
    mend(cluster.lab, victim)
    _made_whole(cluster, victim)


def _made_whole(cluster: Cluster, victim: str) -> None:
    """``up`` brings *victim* back, and nothing else is touched."""
    with opened(cluster) as hosts:
        before = invocations(hosts, but=victim)
        outcome = cluster.up()
        assert {change.host for change in outcome.picture.plan.changes()} <= {victim}
        assert invocations(hosts, but=victim) == before
    assert cluster.plan().picture.plan.empty


@pytest.mark.long(seconds=120)
def test_all_hosts_lose_power_and_come_back_without_us(cluster: Cluster) -> None:
    cluster.kubectl("create", "configmap", "canary", f"--from-literal=at={time.time()}", "--dry-run=client", "-o", "json")
    cluster.kubectl(
        "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "canary"}, "data": {"a": "b"}})
    )
    for host in cluster.lab.hosts:
        labs.power_cut(host)
    for host in cluster.lab.hosts:
        labs.boot(host)
    end = time.time() + 200
    while time.time() < end and not _whole(cluster):
        time.sleep(3)
    outcome = run.verify(cluster.request())
    assert [result for result in outcome.results if not result.ok] == []
    assert outcome.picture.plan.empty
    assert cluster.kubectl("get", "configmap", "canary", "-o", "jsonpath={.data.a}") == "b"


def _whole(cluster: Cluster) -> bool:
    outcome = run.plan(cluster.request())
    live = outcome.picture.live
    return outcome.picture.plan.empty and live is not None
