"""From what a dial met to a verdict: nothing ambiguous is open, and a rejection is told from a missing way."""

from __future__ import annotations

from errno import EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, EPERM
from ipaddress import IPv4Address

import pytest

from kbootstrap.catalog import ports
from kbootstrap.model.reach import Pair, Verdict
from kbootstrap.probe import judge
from kbootstrap.probe.talk import Hello, Reply

TCP = Pair(port=ports.NODEPORT_TCP, source="m1", target="w1", number=30000)
UDP = Pair(port=ports.NODEPORT_UDP, source="m1", target="w1", number=30000)
OVERLAY = Pair(port=ports.VXLAN, source="m1", target="w1", number=ports.VXLAN.number)
ADDRESS = "10.77.0.21"
LISTENING = Hello(ports={("tcp", 30000): 0, ("udp", 30000): 0})
TAKEN = Hello(ports={("tcp", 30000): 98, ("udp", 30000): 98})
SERVED = Hello(ports={("tcp", 30000): 0, ("udp", 30000): 0}, services=frozenset({("tcp", 30000), ("udp", 30000)}))
UNABLE = Hello(unable="noexec")


def icmp(code: int, *, errno: int = EHOSTUNREACH, offender: str = ADDRESS) -> Reply:
    return Reply(what="error", errno=errno, icmp=(3, code), offender=IPv4Address(offender))


RESET = Reply(what="error", errno=ECONNREFUSED)
SILENT = Reply(what="silent", elapsed_ms=3400)


def opened(answer: str = "") -> Reply:
    return Reply(what="open", answer=answer)


@pytest.mark.parametrize(
    ("pair", "target", "reply", "verdict", "part"),
    [
        (TCP, LISTENING, opened("word w1"), Verdict.OPEN, ""),
        (UDP, LISTENING, opened("word w1"), Verdict.OPEN, ""),
        (TCP, LISTENING, opened("word w2"), Verdict.WRONG_HOST, "w2 answered"),
        (TCP, LISTENING, opened("other w1"), Verdict.WRONG_HOST, "not our listener"),
        (TCP, LISTENING, opened(), Verdict.WRONG_HOST, "not our listener"),
        (TCP, TAKEN, opened(), Verdict.OPEN, ""),
        (TCP, SERVED, opened(), Verdict.OPEN, "a Service"),
        (TCP, SERVED, RESET, Verdict.OPEN, "a Service"),
        (UDP, SERVED, SILENT, Verdict.UNPROVEN, "a Service"),
        (UDP, TAKEN, SILENT, Verdict.UNPROVEN, "a program on w1"),
        (UDP, TAKEN, opened("anything"), Verdict.OPEN, ""),
        (TCP, LISTENING, RESET, Verdict.REFUSED, "although our listener is up"),
        (TCP, TAKEN, RESET, Verdict.REFUSED, "nothing listens"),
        (TCP, UNABLE, RESET, Verdict.UNPROVEN, "noexec"),
        (TCP, LISTENING, SILENT, Verdict.DROPPED, "3.4 s"),
        (UDP, LISTENING, icmp(3, errno=ECONNREFUSED), Verdict.REFUSED, "ICMP port unreachable"),
        (UDP, LISTENING, icmp(13), Verdict.REFUSED, "administratively prohibited"),
        (TCP, LISTENING, icmp(10, offender="10.77.0.1"), Verdict.REFUSED, "administratively prohibited from 10.77.0.1"),
        (TCP, LISTENING, icmp(1), Verdict.REFUSED, "ICMP host unreachable"),
        (TCP, LISTENING, icmp(1, offender="10.77.0.1"), Verdict.NO_ROUTE, "from 10.77.0.1"),
        (TCP, LISTENING, icmp(0, errno=ENETUNREACH, offender="10.77.0.1"), Verdict.NO_ROUTE, "net unreachable"),
        (TCP, LISTENING, Reply(what="local", errno=EHOSTUNREACH), Verdict.NO_ROUTE, "m1 has no way"),
        (TCP, LISTENING, Reply(what="local", errno=EACCES), Verdict.NO_ROUTE, "prohibits"),
        (UDP, LISTENING, Reply(what="local", errno=EPERM), Verdict.DROPPED, "m1's own rules"),
    ],
)
def test_verdicts(pair: Pair, target: Hello, reply: Reply, verdict: Verdict, part: str) -> None:
    proof = judge.verdict(pair, target, reply, "word", address=ADDRESS)
    assert (proof.verdict, part in proof.detail) == (verdict, True), proof


def test_only_silence_on_a_port_that_others_have_is_mute() -> None:
    asked = [(UDP, SERVED, SILENT), (UDP, TAKEN, SILENT), (UDP, LISTENING, SILENT), (TCP, SERVED, SILENT), (TCP, UNABLE, RESET)]
    assert [judge.verdict(pair, target, reply, "word", address=ADDRESS).mute for pair, target, reply in asked] == [True, True, False, False, False]


def test_who_answered() -> None:
    assert judge.verdict(TCP, LISTENING, opened("word w1"), "word", address=ADDRESS).answered == "probe"
    assert judge.verdict(TCP, TAKEN, opened(), "word", address=ADDRESS).answered == "daemon"


@pytest.mark.parametrize(
    ("reply", "seen", "verdict", "part"),
    [
        (SILENT, {25, 1450}, Verdict.OPEN, "1450"),
        (SILENT, {25}, Verdict.DROPPED, "MTU"),
        (Reply(what="local", errno=EMSGSIZE), set(), Verdict.DROPPED, "do not fit"),
        (SILENT, set(), Verdict.DROPPED, "no frame"),
        (icmp(3, errno=ECONNREFUSED), set(), Verdict.REFUSED, "port unreachable"),
        (Reply(what="local", errno=ENETUNREACH), set(), Verdict.NO_ROUTE, "no way"),
    ],
)
def test_the_overlay(reply: Reply, seen: set[int], verdict: Verdict, part: str) -> None:
    proof = judge.tunnel(OVERLAY, reply, frozenset(seen), 1450, address=ADDRESS)
    assert (proof.verdict, part in proof.detail) == (verdict, True), proof
