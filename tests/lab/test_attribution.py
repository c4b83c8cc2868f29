"""Faults of every kind, planted on real hosts: the second look names the very rule on the very host, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from kbootstrap.model.reach import Cause, Pair, Proof
from kbootstrap.plan.attribution import script
from kbootstrap.remote.pool import Pool
from tests.lab.practice import Claim, Practice, pair, practising

pytestmark = pytest.mark.lab
_GONE_S = 15.0  # until a host has noticed that nobody listens any more: its shell beats every two seconds
PODS = "10.244.9.0/24"

ON_SOURCE = """
nft -f - <<'X'
table inet filter {
    chain output {
        type filter hook output priority 0; policy accept;
        ip daddr M2 tcp dport 30071 drop
    }
}
X
iptables -A OUTPUT -p tcp --dport 30072 -j REJECT
ip route add blackhole M3
"""
ON_TARGET = f"""
nft -f - <<'X'
table inet filter {{
    chain input {{
        type filter hook input priority 0; policy accept;
        ct state established accept
        tcp dport 30001 counter drop
        ip saddr M1 tcp dport 30002 reject with tcp reset comment "away"
        udp dport 30001 drop
        jump sub
    }}
    chain sub {{
        tcp dport 30003 counter reject
        udp dport 30002 reject
    }}
    chain closed {{
        type filter hook input priority 10; policy drop;
        tcp dport != 30004 accept
        udp dport != 30004 accept
    }}
}}
table ip mine {{
    chain early {{
        type filter hook prerouting priority -300; policy accept;
        tcp dport 30031 drop
    }}
    chain translated {{
        type nat hook prerouting priority -100; policy accept;
        tcp dport 30041 dnat to 10.244.9.9:80
        tcp dport 30042 redirect to :30099
    }}
    chain through {{
        type filter hook forward priority 0; policy drop;
    }}
    chain back {{
        type filter hook output priority 0; policy accept;
        tcp sport 30051 drop
    }}
}}
X
iptables -A INPUT -p tcp --dport 30011 -m comment --comment "no way" -j DROP
iptables -N mine
iptables -A mine -p tcp -m multiport --dports 30012:30015 -j REJECT
iptables -A mine -p udp --dport 30011 -j DROP
iptables -A INPUT -j mine
iptables -t nat -A PREROUTING -p tcp --dport 30043 -j REDIRECT --to-ports 30099
iptables-legacy -N away
iptables-legacy -A away -p tcp -m multiport --dports 30021,30029 -j DROP
iptables-legacy -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables-legacy -A INPUT -j away
iptables-legacy -A INPUT -p udp --dport 30022 -j REJECT
sysctl -q -w net.ipv4.ip_forward=1
ip route add {PODS} via M3
systemd-run -q --unit=wrong-bind socat TCP-LISTEN:30062,bind=127.0.0.1,fork PIPE
"""
LISTING = "nft -s list ruleset; iptables-legacy-save | grep ^-A || true; ip route; pgrep -x nft || true"


@pytest.fixture(scope="module")
def practice(claim: Claim, lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with practising(claim, tmp_path_factory.mktemp("inventory")) as found:
        yield found


def at(chain: str, rule: str, verdict: str = "drop", *, host: str = "m2", stack: str = "nftables", zone: str = "") -> Cause:
    return Cause(host=host, stack=stack, verdict=verdict, chain=chain, rule=rule, zone=zone, hint="")


def test_a_connection_that_dies_leaves_no_table_and_no_program(practice: Practice) -> None:
    def die(pool: Pool, pairs: Sequence[Pair]) -> list[Proof]:
        for name in ("m1", "m2"):
            assert script.TABLE in practice.sh(name, "nft list tables")
        pool.close()
        return []

    (proof,) = practice.attribute([pair("m1", "m2", 30061)], die).values()
    assert proof.cause is None
    deadline = time.monotonic() + _GONE_S
    while left := [n for n in ("m1", "m2") if practice.sh(n, f"nft list tables | grep {script.TABLE} || true; pgrep -x nft || true").strip()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


WANTED = {
    pair("m1", "m2", 30001): at("inet filter input", "tcp dport 30001 counter drop"),
    pair("m1", "m2", 30002): at("inet filter input", 'ip saddr M1 tcp dport 30002 reject with tcp reset comment "away"', "reject"),
    pair("m1", "m2", 30003): at("inet filter sub", "tcp dport 30003 counter reject", "reject"),
    pair("m1", "m2", 30004): at("inet filter closed", "policy drop"),
    pair("m3", "m2", 30001): at("inet filter input", "tcp dport 30001 counter drop"),
    pair("m1", "m2", 30001, "udp"): at("inet filter input", "udp dport 30001 drop"),
    pair("m1", "m2", 30002, "udp"): at("inet filter sub", "udp dport 30002 reject", "reject"),
    pair("m1", "m2", 30004, "udp"): at("inet filter closed", "policy drop"),
    pair("m1", "m2", 30011): at(
        "iptables filter INPUT", '-p tcp -m tcp --dport 30011 -m comment --comment "no way" -j DROP', stack="iptables"
    ),
    pair("m1", "m2", 30012): at(
        "iptables filter mine", "-p tcp -m multiport --dports 30012:30015 -j REJECT --reject-with icmp-port-unreachable", "reject", stack="iptables"
    ),
    pair("m1", "m2", 30011, "udp"): at("iptables filter mine", "-p udp -m udp --dport 30011 -j DROP", stack="iptables"),
    pair("m1", "m2", 30021): at("iptables-legacy filter away", "-p tcp -m multiport --dports 30021,30029 -j DROP", stack="iptables-legacy"),
    pair("m3", "m2", 30022, "udp"): at(
        "iptables-legacy filter INPUT", "-p udp -m udp --dport 30022 -j REJECT --reject-with icmp-port-unreachable", "reject", stack="iptables-legacy"
    ),
    pair("m1", "m2", 30031): at("ip mine early", "tcp dport 30031 drop"),
    pair("m1", "m2", 30041): at("ip mine through", "policy drop"),
    pair("m1", "m2", 30042): at("ip mine translated", "tcp dport 30042 redirect to :30099", "routed elsewhere"),
    pair("m1", "m2", 30043): at(
        "iptables nat PREROUTING", "-p tcp -m tcp --dport 30043 -j REDIRECT --to-ports 30099", "routed elsewhere", stack="iptables"
    ),
    pair("m1", "m2", 30051): at("ip mine back", "tcp sport 30051 drop"),
    pair("m1", "m2", 30061): at("", "nothing listens on 30061/tcp", "no listener", stack="listener"),
    pair("m1", "m2", 30062): at("", "listens on 127.0.0.1:30062 only", "wrong bind", stack="listener"),
    pair("m1", "m2", 30071): at("inet filter output", "ip daddr M2 tcp dport 30071 drop", host="m1"),
    pair("m1", "m2", 30072): at(
        "iptables filter OUTPUT", "-p tcp -m tcp --dport 30072 -j REJECT --reject-with icmp-port-unreachable", "reject", host="m1", stack="iptables"
    ),
    pair("m1", "m3", 30081): at("", "blackhole M3", "no route", host="m1", stack="route"),
    pair("m3", "m1", 30082): at("", "blackhole M3", "no route", host="m1", stack="route"),
}  # fmt: skip


@pytest.fixture(scope="module")
def planted(practice: Practice) -> Iterator[dict[Pair, Proof]]:
    """All faults at once, and one look at all of them."""
    practice.sh("m1", ON_SOURCE)
    practice.sh("m2", ON_TARGET)
    before = {host.name: practice.sh(host.name, LISTING) for host in practice.lab.hosts}
    found = practice.attribute(WANTED)
    assert {host.name: practice.sh(host.name, LISTING) for host in practice.lab.hosts} == before, "a look changes nothing"
    yield found
    practice.sh("m1", "nft flush ruleset; ip route del blackhole M3")
    practice.sh("m2", f"nft flush ruleset; iptables-legacy -F; iptables-legacy -X; ip route del {PODS}; systemctl stop wrong-bind")


@pytest.mark.parametrize("asked", [pytest.param(each, id=each.id) for each in WANTED])
def test_the_rule_is_named(asked: Pair, planted: dict[Pair, Proof], practice: Practice) -> None:
    want, found = WANTED[asked], planted[asked].cause
    assert found is not None
    rule = want.rule
    for host in practice.lab.hosts:
        rule = rule.replace(host.name.upper(), str(host.address))
    assert (found.host, found.stack, found.verdict, found.chain) == (want.host, want.stack, want.verdict, want.chain)
    assert rule in found.rule
    if found.stack == "nftables" and want.rule != "policy drop":
        handle = found.rule.removeprefix(rule).strip(" ()").split()
        assert handle[0] == "handle"
        assert f"# handle {handle[1]}" in practice.sh(found.host, f"nft -a list chain {found.chain}")


def test_the_commands_that_are_offered_mend_it(planted: dict[Pair, Proof], practice: Practice) -> None:
    """The last test: it opens what was closed. Then nobody listens on most of these ports, which no rule is to blame for."""
    ruled = {asked: proof.cause for asked, proof in planted.items() if proof.cause and proof.cause.chain}
    for host, command in sorted({(cause.host, cause.hint.partition(f"on {cause.host}: ")[2]) for cause in ruled.values()}):
        practice.sh(host, command)
    after = practice.attribute(ruled)
    assert {asked.id: proof.cause.rule for asked, proof in after.items() if proof.cause and proof.cause.stack != "listener"} == {}
