"""Every directed port between real hosts: what is planted is named, exactly that and nothing else, and nothing of the probes stays behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from kbootstrap import inventory, topology
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import BY_NAME, Port
from kbootstrap.engine import ports
from kbootstrap.engine.contact import contact
from kbootstrap.engine.listeners import Listeners, listeners
from kbootstrap.errors import PreflightError
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.events import silent
from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.report import ports as report
from tests.lab.conftest import Cluster

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]
TABLE = "kbfault"
KEEPER = "kb-firewall.service"
ACTIONS = {  # what a rule does → (for TCP, for UDP, what a dial then meets)
    "drop": ("drop", "drop", Verdict.DROPPED),
    "reject": ("reject with tcp reset", "reject", Verdict.REFUSED),
    "prohibit": ("reject with icmpx admin-prohibited", "reject with icmpx admin-prohibited", Verdict.REFUSED),
}
ROWS = ("kube-apiserver", "etcd-client", "etcd-peer", "kubelet", "kube-proxy-health", "nodeport-tcp", "nodeport-udp", "vxlan")
PARTS = 4


@pytest.fixture(scope="module")
def place(shared_lab: labs.Lab) -> Cluster:
    """Three masters and two workers, whether or not a cluster runs there."""
    return Cluster(lab=shared_lab)


@pytest.fixture
def spec(place: Cluster) -> ClusterSpec:
    """Of the shared lab, with a VXLAN's port in its matrix, too."""
    found = inventory.load(place.folder.cluster_yml)
    return replace(found, network=replace(found.network, plugin=Plugin.VXLAN))


def on(place: Cluster, host: str, script: str) -> str:
    done = labs.execute(place.lab.host(host), ["sh", "-ec", script])
    assert done.returncode == 0, f"{host}: {script}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """*port* on *target* is closed for *source*; connections that exist go on, so that a cluster there hardly notices."""

    port: Port
    source: str
    target: str
    action: str = "drop"

    def rule(self, spec: ClusterSpec) -> str:
        tcp, udp, _ = ACTIONS[self.action]
        match = f"ip saddr {spec.host(self.source).address} ct state new {self.port.protocol} dport {self.port.first}-{self.port.last}"
        if self.port.first == self.port.last:
            match = match.replace(f"-{self.port.last}", "")
        return f'{match} {tcp if self.port.protocol == "tcp" else udp} comment "{TABLE}"'

    @property
    def wanted(self) -> dict[tuple[str, str, str], Verdict]:
        return {(self.source, self.target, self.port.name): ACTIONS[self.action][2]}


@contextmanager
def planted(place: Cluster, spec: ClusterSpec, faults: Sequence[Fault]) -> Iterator[None]:
    """Where a cluster runs, what keeps its firewall open would mend the fault within a second: it rests meanwhile."""
    targets = sorted({fault.target for fault in faults})
    kept = [target for target in targets if on(place, target, f"systemctl is-active {KEEPER} || :") == "active"]
    try:
        for target in kept:
            on(place, target, f"systemctl stop {KEEPER}")
        for target in targets:
            rules = "".join(f"add rule inet {TABLE} input {fault.rule(spec)}\n" for fault in faults if fault.target == target)
            text = f"table inet {TABLE} {{\n chain input {{ type filter hook input priority -5; }}\n}}\n{rules}"
            on(place, target, f"nft -f - <<'end'\n{text}end")
        yield
    finally:
        for target in targets:
            on(place, target, f"nft delete table inet {TABLE} 2>/dev/null || :")
        for target in kept:
            on(place, target, f"systemctl start {KEEPER}")


def check(place: Cluster, spec: ClusterSpec) -> tuple[Proof, ...]:
    """``ports.check``, causes included."""
    with place.request().connect(contact(place.folder)) as pool:
        return ports.check(spec, pool, silent)


@contextmanager
def probing(place: Cluster, spec: ClusterSpec, pairs: Sequence[Pair] | None = None) -> Iterator[Listeners]:
    with place.request().connect(contact(place.folder)) as pool, listeners(spec, pool, pairs or topology.pairs(spec)) as found:
        yield found


def bad(proofs: Sequence[Proof]) -> dict[tuple[str, str, str], set[Verdict]]:
    found: dict[tuple[str, str, str], set[Verdict]] = {}
    for proof in proofs:
        if not proof.ok:
            found.setdefault((proof.pair.source, proof.pair.target, proof.pair.port.name), set()).add(proof.verdict)
    return found


def expect(place: Cluster, spec: ClusterSpec, faults: Sequence[Fault]) -> None:
    """Exactly *faults* are found, every port of a range, each with the rule that does it."""
    with planted(place, spec, faults):
        proofs = check(place, spec)
    wanted = {key: {verdict} for fault in faults for key, verdict in fault.wanted.items()}
    assert bad(proofs) == wanted, "\n".join(map(str, report.problems(proofs)))
    failed = ports.failing(proofs)
    numbers = sum(len(topology.numbers(fault.port)) for fault in faults)
    assert len(failed) == numbers, "a range is closed as a whole"
    for proof in failed:
        assert proof.cause is not None, proof.pair.id
        assert (proof.cause.host, TABLE in proof.cause.rule) == (proof.pair.target, True), proof


def test_a_datagram_that_nobody_answers_is_seen_to_arrive_or_to_be_dropped(place: Cluster, spec: ClusterSpec) -> None:
    nodeport = BY_NAME["nodeport-udp"]
    pairs = [pair for pair in topology.pairs(spec) if pair.port == nodeport and pair.target == "w1" and pair.number == nodeport.first]
    fault = Fault(port=nodeport, source="m1", target="w1")
    on(place, "w1", f"systemd-run -q --collect --unit=kb-mute socat -u UDP4-RECV:{nodeport.first} OPEN:/dev/null")
    try:
        with planted(place, spec, [fault]), place.request().connect(contact(place.folder)) as pool:
            proofs = ports.check(spec, pool, silent, pairs=pairs)
    finally:
        on(place, "w1", "systemctl stop kb-mute")
    assert bad(proofs) == {key: {verdict} for key, verdict in fault.wanted.items()}, "\n".join(map(str, report.problems(proofs)))
    assert {proof.detail for proof in proofs if proof.ok} == {"seen to pass every rule of w1"}
    (cause,) = [proof.cause for proof in proofs if proof.cause]
    assert (cause.host, TABLE in cause.rule) == ("w1", True)


def triples(spec: ClusterSpec, name: str) -> list[tuple[Port, str, str]]:
    return list(dict.fromkeys((p.port, p.source, p.target) for p in topology.pairs(spec) if p.port.name == name))


def test_all_pairs_are_open_and_nothing_stays_behind(place: Cluster, spec: ClusterSpec) -> None:
    proofs = check(place, spec)
    assert bad(proofs) == {}, "\n".join(map(str, report.problems(proofs)))
    assert {proof.pair.port.name for proof in proofs} == set(ROWS)
    for host in place.lab.hosts:
        assert on(place, host.name, "ls -d /run/kb-probe* /tmp/kb-probe* /var/tmp/kb-probe* 2>/dev/null || :") == ""
        on(place, host.name, "n=0; while pgrep -x kb-probe >/dev/null; do n=$((n + 1)); [ $n -lt 100 ]; sleep 0.1; done")


def test_one_fault_on_each_host(place: Cluster, spec: ClusterSpec) -> None:
    expect(
        place,
        spec,
        [
            Fault(port=BY_NAME["etcd-peer"], source="m2", target="m1"),
            Fault(port=BY_NAME["kube-apiserver"], source="w1", target="m2", action="reject"),
            Fault(port=BY_NAME["vxlan"], source="w2", target="m3", action="prohibit"),
            Fault(port=BY_NAME["nodeport-udp"], source="m1", target="w1", action="reject"),
            Fault(port=BY_NAME["nodeport-tcp"], source="m1", target="w2"),
        ],
    )


def cases(cost_s: Mapping[str, float], others: Sequence[Any]) -> list[Any]:
    """Every action with each of *others*; silence is told from loss only by waiting, so a drop costs most."""
    return [pytest.param(a, o, marks=pytest.mark.long(seconds=cost_s.get(a, cost_s[""])), id=f"{a}-{o}") for a in ACTIONS for o in others]


@pytest.mark.parametrize(("action", "part"), cases({"drop": 41, "": 12}, range(PARTS)))
def test_every_row_from_every_host_a_fault_on_each_at_once(place: Cluster, spec: ClusterSpec, action: str, part: int) -> None:
    of_target = {
        host.name: [Fault(port=p, source=s, target=t, action=action) for name in ROWS for p, s, t in triples(spec, name) if t == host.name]
        for host in spec.hosts
    }
    rounds = [[fault for fault in row if fault is not None] for row in zip_longest(*of_target.values())]
    for faults in rounds[part::PARTS]:
        expect(place, spec, faults)


def test_another_host_that_answers_and_a_host_without_a_way(place: Cluster, spec: ClusterSpec) -> None:
    m1, m2, m3 = (spec.host(name).address for name in ("m1", "m2", "m3"))
    api = BY_NAME["kube-apiserver"]
    asked = [pair for pair in topology.pairs(spec) if pair.port in (api, BY_NAME["vxlan"])]
    try:
        text = f"""table ip {TABLE} {{
 chain output {{ type nat hook output priority -150;
  ip daddr {m2} tcp dport {api.number} dnat to {m3}
 }}
}}
"""
        on(place, "w2", f"nft -f - <<'end'\n{text}end")
        on(place, "w1", f"ip route add unreachable {m1}/32")
        with probing(place, spec, asked) as probes:
            proofs = probes.prove(asked)
    finally:
        on(place, "w2", f"nft delete table ip {TABLE} 2>/dev/null || :")
        on(place, "w1", f"ip route del unreachable {m1}/32 2>/dev/null || :")
    there = [proof for proof in proofs if proof.pair.source == "w2" and proof.pair.target == "m2" and proof.pair.port == api]
    running = any(proof.answered == "daemon" for proof in proofs if proof.pair.port == api)
    if not running:  # an API server does not say its name
        assert [(proof.verdict, proof.detail) for proof in there] == [(Verdict.WRONG_HOST, "m3 answered")]
    found = {key: verdicts for key, verdicts in bad(proofs).items() if key[:2] != ("w2", "m2")}
    assert found == {
        ("w1", "m1", api.name): {Verdict.NO_ROUTE},
        ("w1", "m1", "vxlan"): {Verdict.NO_ROUTE},
        ("m1", "w1", "vxlan"): {Verdict.DROPPED},  # its answer has no way
    }


def test_a_host_that_runs_no_programs_of_ours(place: Cluster, spec: ClusterSpec) -> None:
    """Its sshd dials for it; what could not be asked is not called open."""
    mounts = "for p in /run /var/tmp /tmp /root /dev/shm; do mount --bind $p $p; mount -o remount,bind,noexec $p; done"
    on(place, "w1", mounts)
    try:
        with probing(place, spec) as probes:
            proofs = probes.prove(topology.pairs(spec))
        assert on(place, "w1", "ls -d /run/kb-probe* /tmp/kb-probe* /var/tmp/kb-probe* 2>/dev/null || :") == ""
    finally:
        on(place, "w1", "for p in /run /var/tmp /tmp /root /dev/shm; do umount $p; done")
    failed = ports.failing(proofs)
    assert {proof.verdict for proof in failed} <= {Verdict.UNPROVEN}
    assert all("w1" in (proof.pair.source, proof.pair.target) for proof in failed)
    assert all("noexec" in proof.detail for proof in failed), failed
    from_w1 = {proof.pair.id for proof in proofs if proof.ok and proof.pair.source == "w1" and proof.pair.port.protocol == "tcp"}
    assert from_w1 == {pair.id for pair in topology.pairs(spec) if pair.source == "w1" and pair.port.protocol == "tcp"}


def test_nothing_is_installed_where_a_pair_is_closed(
    lab_machine: None, claim: Callable[[str], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A firewall that is left alone must let the cluster's packets through before `cluster.up` begins."""
    with claim("kbport") as name:
        lab = labs.up(name=name, masters=1, workers=1, inventory=tmp_path_factory.mktemp("inventory") / name)
        place = Cluster(lab=lab)
        yml = Path(place.folder.cluster_yml)
        yml.write_text(yml.read_text().replace("hosts:\n  masters:", "firewall: {manage: false}\nhosts:\n  masters:", 1))
        fault = Fault(port=BY_NAME["kube-apiserver"], source="w1", target="m1")
        with planted(place, inventory.load(yml), [fault]), pytest.raises(PreflightError) as caught:
            place.up()
        assert [problem.where for problem in caught.value.problems] == ["m1 ← w1"]
        for host in lab.hosts:
            assert on(place, host.name, f"ls {paths.LEDGER} 2>/dev/null || :") == ""
