"""What real hosts said, captured (addresses replaced): to every failing pair the rule, its owner's name for it, and the command that mends it.

A file is one host's answers, ``== <section>`` before each; m1, m2, m3 are 192.0.2.11 to .13.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kbootstrap.catalog import ports
from kbootstrap.model.reach import Cause, Pair, Proof, Verdict
from kbootstrap.plan.attribution import causes, evidence
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow

CAPTURED = Path(__file__).parent / "captured"
ADDRESSES = {name: IPv4Address(f"192.0.2.{last}") for name, last in (("m1", 11), ("m2", 12), ("m3", 13))}
APPLY = "invoke firewall.apply --limit {0}   or on {0}: "


def captured(name: str, host: str) -> Evidence:
    sections: dict[str, list[bytes]] = {}
    for line in (CAPTURED / f"{name}-{host}.txt").read_bytes().splitlines():
        if line.startswith(b"== "):
            mine = sections.setdefault(line[3:].decode(), [])
        else:
            mine.append(line)
    return evidence.read(host, {key: b"\n".join(lines) for key, lines in sections.items()})


def cause(name: str, pair: tuple[str, str, str, int], *others: tuple[str, str, str, int], verdict: Verdict = Verdict.DROPPED) -> Cause | None:
    """The cause of *pair*, found together with *others*."""
    flows = {_pair(each): _flow(each) for each in (pair, *others)}
    hosts = {path.stem.rpartition("-")[2]: captured(*path.stem.rsplit("-", 1)) for path in CAPTURED.glob(f"{name}-*.txt")}
    return causes.of([Proof(pair=each, verdict=verdict) for each in flows], flows, hosts).get(_pair(pair))


def _pair(pair: tuple[str, str, str, int]) -> Pair:
    source, target, protocol, number = pair
    alone = [port for port in ports.PORTS if (port.first, port.last, port.protocol) == (number, number, protocol)]
    port = alone[0] if alone else ports.NODEPORT_TCP
    return Pair(port=port, source=source, target=target, number=number)


def _flow(pair: tuple[str, str, str, int]) -> Flow:
    source, target, protocol, number = pair
    return Flow(source=ADDRESSES[source], target=ADDRESSES[target], protocol=protocol, port=number)


@pytest.mark.parametrize(
    ("pair", "verdict", "chain", "rule", "command"),
    [
        pytest.param(
            2380, "drop", "inet filter input", "tcp dport 2380 counter drop (handle 5)",
            "nft 'insert rule inet filter input ip saddr 192.0.2.11 tcp dport 2380 accept comment \"kbootstrap\"'", id="drop",
        ),
        pytest.param(
            2379, "reject", "inet filter input", 'ip saddr 192.0.2.11 tcp dport 2379 reject with tcp reset comment "away" (handle 6)',
            "nft 'insert rule inet filter input ip saddr 192.0.2.11 tcp dport 2379 accept comment \"kbootstrap\"'", id="reject",
        ),
        pytest.param(
            10250, "reject", "inet filter sub", "tcp dport 10250 counter reject (handle 8)",
            "nft 'insert rule inet filter sub ip saddr 192.0.2.11 tcp dport 10250 accept comment \"kbootstrap\"'", id="jumped-to",
        ),
        pytest.param(
            10256, "drop", "inet filter closed", "policy drop",
            "nft 'insert rule inet filter closed ip saddr 192.0.2.11 tcp dport 10256 accept comment \"kbootstrap\"'", id="policy",
        ),
        pytest.param(
            6443, "drop", "iptables filter INPUT", '-p tcp -m tcp --dport 6443 -m comment --comment "no api" -j DROP',
            "iptables -I INPUT 1 -p tcp -s 192.0.2.11 --dport 6443 -m comment --comment kbootstrap -j ACCEPT", id="iptables-DROP",
        ),
        pytest.param(
            30000, "reject", "iptables filter mine", "-p tcp -m multiport --dports 30000:30010 -j REJECT --reject-with icmp-port-unreachable",
            "iptables -I INPUT 1 -p tcp -s 192.0.2.11 --dport 30000:32767 -m comment --comment kbootstrap -j ACCEPT", id="iptables-REJECT",
        ),
    ],
)  # fmt: skip
def test_rules_of_nftables_and_of_iptables_through_nftables(pair: int, verdict: str, chain: str, rule: str, command: str) -> None:
    found = cause("native", ("m1", "m2", "tcp", pair))
    stack = "iptables" if chain.startswith("iptables") else "nftables"
    assert found == Cause(host="m2", stack=stack, verdict=verdict, hint=APPLY.format("m2") + command, chain=chain, rule=rule)


def test_a_datagram() -> None:
    found = cause("native", ("m1", "m2", "udp", 8472))
    assert found is not None
    assert (found.chain, found.rule, found.verdict) == ("inet filter sub", "udp dport 8472 drop (handle 9)", "drop")


def test_one_command_for_all_sources_that_a_rule_ends() -> None:
    found = cause("native", ("m1", "m2", "tcp", 2380), ("m3", "m2", "tcp", 2380), ("m3", "m2", "tcp", 10250))
    assert found is not None
    assert "ip saddr { 192.0.2.11, 192.0.2.13 } tcp dport 2380 accept" in found.hint


def test_one_command_for_all_ports_that_a_policy_ends_and_not_one_hole_more() -> None:
    found = cause("ufw", ("m1", "m2", "tcp", 6443), ("m1", "m2", "tcp", 30000), ("m1", "m2", "udp", 8472))
    assert found is not None
    start = "ufw prepend allow proto {} from 192.0.2.11 to 192.0.2.12 port {} comment kbootstrap"
    assert found.hint == APPLY.format("m2") + f"{start.format('tcp', '6443,30000:32767')}; {start.format('udp', '8472')}"


@pytest.mark.parametrize(
    ("port", "verdict", "place", "mends"),
    [
        (2380, "drop", "ufw rule [3]: deny 2380/tcp from 192.0.2.11 (in)", True),
        (10250, "reject", "ufw rule [4]: reject 10250/tcp from any (in)", True),
        (6443, "drop", "ufw default deny (incoming)", True),
        (2379, "drop", "/etc/ufw/before.rules, chain ufw-before-input", False),
    ],
)
def test_ufw(port: int, verdict: str, place: str, mends: bool) -> None:
    found = cause("ufw", ("m1", "m2", "tcp", port))
    assert found is not None
    assert (found.stack, found.verdict, found.zone) == ("ufw", verdict, place)
    opening = APPLY.format("m2") + f"ufw prepend allow proto tcp from 192.0.2.11 to 192.0.2.12 port {port} comment kbootstrap"
    assert (found.hint == opening) is mends
    assert mends or "take this rule out of /etc/ufw/before.rules" in found.hint


@pytest.mark.parametrize(
    ("source", "port", "verdict", "chain", "zone"),
    [
        ("m1", 2380, "drop", "inet firewalld filter_IN_public_deny", "public"),
        ("m1", 2379, "reject", "inet firewalld filter_IN_public_deny", "public"),
        ("m1", 10250, "reject", "inet firewalld filter_IN_public", "public"),
        ("m2", 2380, "drop", "inet firewalld filter_IN_drop", "drop"),
    ],
)
def test_firewalld(source: str, port: int, verdict: str, chain: str, zone: str) -> None:
    found = cause("firewalld", (source, "m3", "tcp", port))
    assert found is not None
    assert (found.stack, found.verdict, found.chain, found.zone) == ("firewalld", verdict, chain, zone)
    rule = f'rule priority="-100" family="ipv4" source address="{ADDRESSES[source]}" port port="{port}" protocol="tcp" accept'
    assert found.hint == APPLY.format("m3") + f"firewall-cmd --permanent --zone={zone} '--add-rich-rule={rule}' && firewall-cmd --reload"


def test_legacy_iptables_by_its_counters() -> None:
    tcp = cause("legacy", ("m1", "m2", "tcp", 30000))
    assert tcp is not None
    assert (tcp.stack, tcp.verdict, tcp.chain) == ("iptables-legacy", "drop", "iptables-legacy filter away")
    assert tcp.rule == "-p tcp -m multiport --dports 30000,30005 -j DROP"
    assert tcp.hint.endswith("iptables-legacy -I INPUT 1 -p tcp -s 192.0.2.11 --dport 30000:32767 -m comment --comment kbootstrap -j ACCEPT")
    udp = cause("legacy", ("m1", "m2", "udp", 8472))
    assert udp is not None
    assert (udp.verdict, udp.rule.split(" -j ")[1]) == ("reject", "REJECT --reject-with icmp-port-unreachable")


def test_the_source_itself_does_not_let_it_out() -> None:
    own = cause("ends", ("m1", "m2", "tcp", 2380))
    assert own is not None
    assert (own.host, own.chain, own.rule) == ("m1", "inet filter output", "ip daddr 192.0.2.12 tcp dport 2380 drop (handle 2)")
    assert own.hint.startswith("on m1: nft 'insert rule inet filter output ip saddr 192.0.2.11 ip daddr 192.0.2.12 tcp dport 2380 accept")
    rejected = cause("ends", ("m1", "m2", "tcp", 2379))
    assert rejected is not None
    assert (rejected.host, rejected.stack, rejected.verdict, rejected.chain) == ("m1", "iptables", "reject", "iptables filter OUTPUT")


def test_the_answer_does_not_come_back() -> None:
    found = cause("ends", ("m1", "m2", "tcp", 10250))
    assert found is not None
    assert (found.host, found.chain, found.rule) == ("m2", "ip mine back", "tcp sport 10250 drop (handle 5)")
    assert "ip daddr 192.0.2.11 ip saddr 192.0.2.12 tcp sport 10250 accept" in found.hint


def test_before_routing_and_on_the_way_to_a_pod() -> None:
    early = cause("ends", ("m1", "m2", "tcp", 10259))
    assert early is not None
    assert (early.chain, early.hint.startswith("on m2: nft")) == ("ip mine early", True), "firewall.apply opens only at input and forward"
    forwarded = cause("ends", ("m1", "m2", "tcp", 31000))
    assert forwarded is not None
    assert (forwarded.chain, forwarded.rule) == ("ip mine through", "policy drop")
    rule = "ip saddr 192.0.2.11 meta l4proto tcp ct original proto-dst 30000-32767 accept"  # its pod's port is no NodePort any more
    assert forwarded.hint == APPLY.format("m2") + f"nft 'insert rule ip mine through {rule} comment \"kbootstrap\"'"


def test_nobody_listens_or_only_elsewhere() -> None:
    nobody = cause("ends", ("m1", "m2", "tcp", 6443), verdict=Verdict.REFUSED)
    assert nobody is not None
    assert (nobody.host, nobody.stack, nobody.verdict, nobody.rule) == ("m2", "listener", "no listener", "nothing listens on 6443/tcp")
    elsewhere = cause("ends", ("m1", "m2", "tcp", 10256), verdict=Verdict.REFUSED)
    assert elsewhere is not None
    assert elsewhere.verdict == "wrong bind"
    assert elsewhere.rule.endswith("listens on 127.0.0.1:10256 only")


def test_no_cause_is_invented() -> None:
    assert cause("native", ("m1", "m2", "tcp", 4444)) is None
    assert cause("nothing-was-said", ("m1", "m2", "tcp", 2380)) is None
