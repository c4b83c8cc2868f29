"""The order of a second look: all hosts trace, the probes run, all hosts end; and what a host that cannot be asked costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kbootstrap import topology
from kbootstrap.engine import ports, trace
from kbootstrap.errors import ConnectError
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.plan.attribution import script
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import FakeHost, reading

SPEC = a_cluster(2, 1)
PAIR = next(pair for pair in topology.pairs(SPEC) if (pair.source, pair.target, pair.port.name) == ("m1", "m2", "etcd-peer"))
FAILED = Proof(pair=PAIR, verdict=Verdict.DROPPED)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "BEGIN_S", 0.2)  # a told host reads its whole input before it says anything


def dropped(source: str, target: str) -> bytes:
    """nft's words on a packet of PAIR that the target's policy ended."""
    start = b"trace id 1a inet kbootstrap_trace in "
    packet = f"packet: iif eth0 ip saddr {source} ip daddr {target} ip dscp cs0 tcp sport 40000 tcp dport {PAIR.number} tcp flags == syn"
    return start + packet.encode() + b"\n" + start + b"policy accept \ntrace id 1a inet filter input policy drop \n"


def test_the_cause_comes_from_what_the_target_saw() -> None:
    source, target = SPEC.host("m1"), SPEC.host("m2")
    said = dropped(str(source.address), str(target.address))
    hosts = {
        "m1": FakeHost(host="m1", scripts=[reading({})]),
        "m2": FakeHost(host="m2", scripts=[reading({script.TRACE: (0, said)})]),
    }
    asked: list[Pair] = []

    def again(pairs: Sequence[Pair]) -> list[Proof]:
        asked.extend(pairs)
        return [Proof(pair=pair, verdict=Verdict.DROPPED, detail="silence") for pair in pairs]

    (proof,) = trace.attribute(SPEC, Pool(SPEC.hosts, lambda host: hosts[host.name]), [FAILED], again)
    assert asked == [PAIR]
    assert proof.cause is not None
    assert (proof.cause.host, proof.cause.chain, proof.cause.rule) == ("m2", "inet filter input", "policy drop")
    assert proof.detail == "silence"
    for host in hosts.values():
        (program,) = host.programs
        assert f"{source.address} . {target.address} . tcp . {PAIR.number}" in program


def test_a_rejection_is_refused_though_the_kernel_said_so_only_once() -> None:
    """It sends few ICMP messages a second: of many dials that one rule rejects, some meet silence."""
    said = dropped(str(SPEC.host("m1").address), str(SPEC.host("m2").address))
    said = said.replace(b"policy drop ", b"rule reject with icmpx admin-prohibited # handle 7 (verdict drop)")
    hosts = {"m1": FakeHost(host="m1", scripts=[reading({})]), "m2": FakeHost(host="m2", scripts=[reading({script.TRACE: (0, said)})])}
    (proof,) = trace.attribute(SPEC, Pool(SPEC.hosts, lambda host: hosts[host.name]), [FAILED], lambda _: [FAILED])
    assert proof.cause is not None
    assert (proof.verdict, proof.cause.verdict) == (Verdict.REFUSED, "reject")


def test_a_host_that_cannot_be_asked_costs_only_its_own_words() -> None:
    source, target = SPEC.host("m1"), SPEC.host("m2")

    def connect(host: Host) -> Connection:
        if host.name == "m1":
            raise ConnectError("down", host="m1")
        return FakeHost(host="m2", scripts=[reading({script.TRACE: (0, dropped(str(source.address), str(target.address)))})])

    (proof,) = trace.attribute(SPEC, Pool(SPEC.hosts, connect), [FAILED], lambda pairs: [])
    assert proof.cause is not None
    assert proof.verdict is Verdict.DROPPED


def test_what_is_open_at_the_second_look_has_no_cause() -> None:
    pool = Pool(SPEC.hosts, lambda host: FakeHost(host=host.name, scripts=[reading({})]))
    (proof,) = trace.attribute(SPEC, pool, [FAILED], lambda pairs: [Proof(pair=pair, verdict=Verdict.OPEN) for pair in pairs])
    assert proof.ok
    assert proof.cause is None


UDP = next(pair for pair in topology.pairs(SPEC) if (pair.source, pair.target, pair.port.name) == ("m1", "w1", "nodeport-udp"))
MUTE = Proof(pair=UDP, verdict=Verdict.UNPROVEN, detail="a Service has this port", mute=True)


def seen(last: str) -> bytes:
    """nft's words on a datagram of UDP at its target."""
    start = b"trace id 1a inet kbootstrap_trace in "
    ends = f"ip saddr {SPEC.host('m1').address} ip daddr {SPEC.host('w1').address}"
    packet = f"packet: iif eth0 {ends} ip dscp cs0 udp sport 40000 udp dport {UDP.number} udp length 40"
    return start + packet.encode() + b"\n" + start + b"policy accept \ntrace id 1a " + last.encode() + b"\n"


@pytest.mark.parametrize(
    ("last", "verdict", "mute"),
    [
        ("inet kbootstrap_trace forwarded policy accept ", Verdict.OPEN, False),
        ("inet kbootstrap_trace arrived policy accept ", Verdict.OPEN, False),
        ("inet filter forward policy drop ", Verdict.DROPPED, False),
        ("ip kube-proxy filter-prerouting rule drop (verdict drop)", Verdict.UNPROVEN, True),
    ],
)
def test_what_owes_no_answer_is_judged_by_its_packets(last: str, verdict: Verdict, mute: bool) -> None:
    hosts = {
        "m1": FakeHost(host="m1", scripts=[reading({script.READY: (0, b"")})]),
        "w1": FakeHost(host="w1", scripts=[reading({script.READY: (0, b""), script.TRACE: (0, seen(last))})]),
    }
    (proof,) = trace.explained(SPEC, Pool(SPEC.hosts, lambda host: hosts[host.name]), [MUTE], lambda _: [MUTE])
    assert (proof.verdict, proof.mute, proof.cause is not None) == (verdict, mute, verdict is Verdict.DROPPED)
    assert ports.failing([proof]) == ((proof,) if verdict is Verdict.DROPPED else ())
    assert ("Service has no pod" in proof.detail) is mute


def test_a_service_without_a_pod_there_is_no_fault_of_the_firewall() -> None:
    """kube-proxy's own rule drops TCP alike: an externalTrafficPolicy is not mended by opening a port."""
    said = dropped(str(SPEC.host("m1").address), str(SPEC.host("m2").address))
    said = said.replace(b"inet filter input policy drop ", b"ip kube-proxy filter-prerouting rule drop # handle 7 (verdict drop)")
    hosts = {"m1": FakeHost(host="m1", scripts=[reading({})]), "m2": FakeHost(host="m2", scripts=[reading({script.TRACE: (0, said)})])}
    (proof,) = trace.attribute(SPEC, Pool(SPEC.hosts, lambda host: hosts[host.name]), [FAILED], lambda _: [FAILED])
    assert (proof.verdict, proof.mute, proof.cause) == (Verdict.UNPROVEN, True, None)


def test_nothing_failed_nobody_is_asked() -> None:
    def connect(host: Host) -> Connection:
        raise AssertionError(host)

    assert trace.attribute(SPEC, Pool(SPEC.hosts, connect), [], lambda pairs: []) == ()


def test_only_what_failed_is_asked_again() -> None:
    pool = Pool(SPEC.hosts, lambda host: FakeHost(host=host.name, scripts=[reading({})]))
    others = [pair for pair in topology.pairs(SPEC) if pair != PAIR][:2]
    proofs = (Proof(pair=others[0], verdict=Verdict.OPEN), FAILED, Proof(pair=others[1], verdict=Verdict.UNPROVEN, detail="why"))
    asked: list[Pair] = []

    def again(pairs: Sequence[Pair]) -> list[Proof]:
        asked.extend(pairs)
        return []

    assert trace.explained(SPEC, pool, proofs, again) == proofs
    assert asked == [PAIR]
