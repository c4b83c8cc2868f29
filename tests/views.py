"""Views of clusters in all kinds of trouble, for tests of the report: real inventories and a real PKI, and what hosts might say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from kbootstrap import topology
from kbootstrap.engine import report
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.finding import Finding
from kbootstrap.model.host import Role
from kbootstrap.model.reach import Cause, Pair, Proof, Verdict
from kbootstrap.model.status import Api, Certificate, HostState, Member, NodeState, Status, Trouble, Unit
from kbootstrap.report.html import reach
from kbootstrap.report.html.view import Network, View
from kbootstrap.store.state import State
from kbootstrap.testing.builders import THE_DAY, a_cluster, a_host, a_pki

NOW = THE_DAY + timedelta(days=100)
HOSTILE = "<script>alert('x')</script> & \"quoted\" </style><img src=http://evil.example/x>"
Fault = Callable[[Pair], Proof | None]

_MASTER_UNITS = ("containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "haproxy-kbootstrap", "kubelet", "kube-proxy")
_WORKER_UNITS = ("containerd", "haproxy-kbootstrap", "kubelet", "kube-proxy")
_VERSIONS = {"containerd": "2.3.4", "etcd": "3.6.14", "haproxy-kbootstrap": ""}


def big(masters: int, workers: int) -> ClusterSpec:
    """More hosts than ``a_cluster`` has addresses for."""
    hosts = [a_host(f"m{n}", str(IPv4Address("10.77.0.10") + n), Role.MASTER) for n in range(1, masters + 1)]
    hosts += [a_host(f"w{n}", str(IPv4Address("10.77.1.0") + n), Role.WORKER) for n in range(1, workers + 1)]
    return replace(a_cluster(1, 0), hosts=tuple(hosts))


def offline(spec: ClusterSpec, *, now: datetime = NOW, pki: bool = True) -> View:
    """What the inventory says alone."""
    return View(
        cluster=spec.name,
        kubernetes=spec.kubernetes,
        made_by="kbootstrap 0",
        now=now,
        places=report.places(spec, State()),
        network=Network(
            pods="10.244.0.0/16", services="10.96.0.0/16", host_prefix=24, plugin="routes",
            api_service="10.96.0.1", dns_service="10.96.0.10", domain="cluster.local",
        ),
        endpoint="Every host: its own haproxy, 127.0.0.1:6443",
        versions={"kubernetes": "1.36.3", "etcd": "3.6.14", "containerd": "2.3.4"},
        matrix=reach.matrix(report.rows(spec), ()),
        certificates=report.certificates(a_pki(len(spec.masters), len(spec.workers))) if pki else (),
        unasked="No host was asked (--offline).",
    )  # fmt: skip


def well(spec: ClusterSpec, *, now: datetime = NOW) -> View:
    """Everything as it should be, every path proven."""
    names = [host.name for host in spec.hosts]
    masters = tuple(host.name for host in spec.masters)
    status = Status(
        cluster=spec.name,
        kubernetes=spec.kubernetes,
        hosts=tuple(a_state(host.name, is_master=host.is_master) for host in spec.hosts),
        members=tuple(Member(host=name, leader=name == masters[-1], version="3.6.14", db_bytes=9_000_000, members=masters) for name in masters),
        apis=tuple(Api(host=name) for name in masters),
        nodes=tuple(NodeState(name=name, status="True") for name in names),
        troubles=(),
    )
    matrix = reach.matrix(report.rows(spec), proofs(spec, ()))
    return replace(offline(spec, now=now), status=status, findings=(), unasked="", matrix=matrix)


def silent(spec: ClusterSpec) -> View:
    """Nobody answers."""
    view = well(spec)
    assert view.status is not None
    hosts = tuple(HostState(name=h.name, roles=h.roles, reason="no route to host", hint=f"ping {h.name}") for h in view.status.hosts)
    nobody = replace(
        view.status,
        hosts=hosts,
        members=tuple(Member(host=m.host, reason="the host cannot be read") for m in view.status.members),
        apis=tuple(Api(host=api.host, reason="the host cannot be read") for api in view.status.apis),
        nodes=(),
    )
    return replace(view, status=nobody, findings=None, matrix=reach.matrix(report.rows(spec), ()), unasked="No host answers.")


def bare(spec: ClusterSpec) -> View:
    """Hosts on which nothing was installed yet."""
    view = well(spec)
    assert view.status is not None
    hosts = tuple(
        replace(h, units=tuple(replace(u, state="absent", version="", since_s=None) for u in h.units), certificate=None) for h in view.status.hosts
    )
    status = replace(
        view.status,
        hosts=hosts,
        members=tuple(Member(host=m.host, reason="etcdctl: not found") for m in view.status.members),
        apis=tuple(Api(host=api.host, reason="kubectl: not found") for api in view.status.apis),
        nodes=(),
    )
    return replace(view, status=status, certificates=())


def a_state(name: str, *, is_master: bool) -> HostState:
    """A host that is well."""
    units = tuple(
        Unit(host=name, name=f"{unit}.service", state="active running", since_s=3.1e5, version=(v := _VERSIONS.get(unit, "1.36.3")), wanted=v)
        for unit in (_MASTER_UNITS if is_master else _WORKER_UNITS)
    )
    return HostState(
        name=name,
        roles=("master",) if is_master else ("worker",),
        os="debian 12",
        kernel="6.1.0-28-amd64",
        up_s=4e5,
        clock_s=0.1,
        certificate=Certificate(path="/etc/kubernetes/pki/kubelet-server.crt", days_left=265.0),
        disks={"/": 41, "/var/lib/etcd": 12},
        units=units,
    )


def proofs(spec: ClusterSpec, faults: Iterable[Fault]) -> tuple[Proof, ...]:
    """Every pair of *spec* is open but where one of *faults* says otherwise."""
    found = []
    for pair in topology.pairs(spec, chosen=1000):
        bad = next((proof for fault in faults if (proof := fault(pair)) is not None), None)
        found.append(bad or Proof(pair=pair, verdict=Verdict.OPEN, answered="daemon"))
    return tuple(found)


def dropped(target: str, rows: Iterable[str], *, sources: Iterable[str] = (), rule: str = "", stack: str = "nftables") -> Fault:
    """*target* drops *rows* from *sources* (from all who must, if there is none)."""
    rows, sources = set(rows), set(sources)

    def fault(pair: Pair) -> Proof | None:
        if pair.target != target or pair.port.name not in rows or (sources and pair.source not in sources):
            return None
        cause = Cause(
            host=target,
            stack=stack,
            verdict="drop",
            chain="inet filter input",
            rule=rule or f"tcp dport {pair.port.first}-{pair.port.last} counter packets 3 bytes 180 drop",
            hint=f"On {target}: nft insert rule inet filter input {pair.port.protocol} dport {pair.port.first}-{pair.port.last} accept",
        )
        return Proof(pair=pair, verdict=Verdict.DROPPED, detail="no answer within 2.0 s", cause=cause)

    return fault


def refused(target: str, row: str) -> Fault:
    """Nothing listens there."""

    def fault(pair: Pair) -> Proof | None:
        if (pair.target, pair.port.name) != (target, row):
            return None
        hint = f"On {target}: systemctl status kube-apiserver"
        return Proof(pair=pair, verdict=Verdict.REFUSED, cause=Cause(host=target, stack="listener", verdict="no listener", hint=hint))

    return fault


def unproven(target: str) -> Fault:
    """Nothing could be asked of *target*."""
    return lambda pair: (
        Proof(pair=pair, verdict=Verdict.UNPROVEN, detail=f"{target} does not answer") if target in (pair.target, pair.source) else None
    )


def in_trouble() -> View:
    """3 + 2 with one of everything that may be wrong."""
    spec = a_cluster(3, 2)
    view = well(spec)
    assert view.status is not None
    m1, m2, m3, w1, w2 = view.status.hosts
    w1 = replace(w1, disks={"/": 97}, units=tuple(_failed(unit) if unit.name == "kube-proxy.service" else unit for unit in w1.units))
    w2 = HostState(name="w2", roles=("worker",), reason="10.77.0.22:22 does not answer within 10 s", hint="Is it on? ping 10.77.0.22")
    m1 = replace(m1, clock_s=7.2, units=tuple(replace(u, version="1.35.1") if u.name == "kubelet.service" else u for u in m1.units))
    status = replace(
        view.status,
        hosts=(m1, m2, m3, w1, w2),
        nodes=(*view.status.nodes[:4], NodeState(name="w2", status="Unknown", detail="Kubelet stopped posting node status.")),
        members=(Member(host="m1", reason="context deadline exceeded"), *view.status.members[1:]),
        apis=(Api(host="m1", reason="[-]etcd failed: reason withheld"), *view.status.apis[1:]),
        troubles=(Trouble(where="w1", what="/ is 97 % full", hint="On w1: du -xh --max-depth=2 / | sort -h | tail.", warning=True),),
    )
    faults = (
        unproven("w2"),
        dropped("m2", ["etcd-peer"], sources=["m1"], rule=f"ip saddr 10.77.0.11 tcp dport 2380 drop comment {HOSTILE}"),
        dropped("w1", ["kubelet", "nodeport-tcp", "nodeport-udp"], stack="ufw", rule="-A ufw-user-input -j DROP"),
        refused("m1", "kube-apiserver"),
    )
    matrix = reach.matrix(report.rows(spec), proofs(spec, faults))
    return replace(view, status=status, findings=findings(), matrix=matrix, now=THE_DAY + timedelta(days=350))


def _failed(unit: Unit) -> Unit:
    return replace(unit, state="failed exit-code", since_s=400.0, restarts=17, version="", wanted="")


def findings() -> tuple[Finding, ...]:
    """One of each kind."""
    return (
        Finding(check="swap", host="w1", what="swap is on", hint="On w1: swapoff -a, and remove it from /etc/fstab",
                evidence="/dev/sda2 partition 2097148", why="kubelet refuses to start on a host that swaps"),
        Finding(check="clock", host="m1", what="its clock is 7.2 s off the median", hint="On m1: timedatectl set-ntp true", warning=True,
                evidence="+7.2 s", why="Raft, certificates and leases need clocks that agree"),
        Finding(check="product-uuid", host="m2", what="product_uuid is that of m1", hint="Give the machine a new one.", warning=True),
        Finding(check="product-uuid", host="m3", what="product_uuid is that of m1", hint="Give the machine a new one.", warning=True),
        Finding(check="memory", host="w1", what=f"has 900 MB {HOSTILE}", hint="Give it 2 GB.", waived="a lab on a small machine", warning=True),
    )  # fmt: skip
