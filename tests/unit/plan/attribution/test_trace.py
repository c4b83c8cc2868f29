"""nft's lines: whose a packet is, its way, ids that come again, and what belongs to somebody else."""

from __future__ import annotations

from ipaddress import IPv4Address

from kbootstrap.catalog import ports
from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.plan.attribution import causes, evidence, script, trace
from kbootstrap.plan.attribution.flow import Flow

FLOW = Flow(source=IPv4Address("192.0.2.11"), target=IPv4Address("192.0.2.12"), protocol="tcp", port=2380)
PAIR = Pair(port=ports.ETCD_PEER, source="m1", target="m2", number=2380)


def line(id_: str, chain: str, rest: str) -> bytes:
    return f"trace id {id_} {chain} {rest}".encode()


def packet(id_: str, chain: str = "inet kbootstrap_trace in", *, source: str = "192.0.2.11 ", port: int = 2380) -> bytes:
    ends = f"ip saddr {source.strip()} ip daddr 192.0.2.12 ip dscp cs0 ip ttl 64"
    return line(
        id_, chain, f'packet: iif "eth0" ether saddr 02:00:00:00:00:01 {ends} tcp sport 40000 tcp dport {port} tcp flags == syn tcp window 64240 '
    )


def test_an_id_that_comes_again_is_another_packet() -> None:
    found = trace.packets(
        [
            packet("1a"),
            line("1a", "inet filter input", "rule tcp dport 2380 counter packets 7 bytes 420 drop # handle 5 (verdict drop)"),
            packet("1a"),
            line("1a", "inet kbootstrap_trace arrived", "policy accept "),
        ]
    )
    assert [(each.passed, each.end is not None) for each in found] == [(False, True), (True, False)]
    assert found[0].end is not None
    assert (found[0].end.rule, found[0].end.handle, found[0].end.rejects) == ("tcp dport 2380 counter drop", 5, False)


def test_what_is_not_ours_or_no_trace_is_left_out() -> None:
    noise = [b"", b"# ERROR: We lost some netlink events!", packet("2b", "inet filter input"), line("2b", "inet filter input", "policy drop ")]
    assert trace.packets(noise) == ()


def test_questions_and_answers_are_told_apart() -> None:
    (question,) = trace.packets([packet("1a")])
    (other,) = trace.packets([packet("1a", source="192.0.2.13")])
    assert [question.asks(FLOW), other.asks(FLOW), question.answers(FLOW)] == [True, False, False]


def test_a_port_that_was_translated() -> None:
    (found,) = trace.packets([packet("1a"), packet("1a", "ip filter FORWARD", port=80), line("1a", "ip filter FORWARD", "policy drop ")])
    assert (found.port, found.translated, found.end is not None) == (2380, 80, True)


def test_a_service_without_pods_is_no_firewalls_fault() -> None:
    rule = line("1a", "ip kube-proxy reject-chain", "rule reject # handle 9 (verdict drop)")
    seen = evidence.read("m2", {script.READY: b"", script.TRACE: b"\n".join([packet("1a"), rule])})
    found = causes.of([Proof(pair=PAIR, verdict=Verdict.REFUSED)], {PAIR: FLOW}, {"m2": seen})[PAIR]
    assert (found.stack, found.verdict, found.hint.startswith("kubectl get services")) == ("kube-proxy", "reject", True)


def test_the_table_marks_the_probes_and_decides_nothing() -> None:
    text = script.table([FLOW])
    assert "elements = { 192.0.2.11 . 192.0.2.12 . tcp . 2380 }" in text
    assert text.count("policy accept") == 5
    assert not any(word in text for word in ("drop", "reject", "policy drop"))


def test_where_nobody_can_say_who_listens_nobody_is_blamed() -> None:
    seen = evidence.read("m2", {script.READY: b"there is no nft", "listeners": b""})
    assert causes.of([Proof(pair=PAIR, verdict=Verdict.REFUSED)], {PAIR: FLOW}, {"m2": seen}) == {}
