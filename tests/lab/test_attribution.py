"""Faults of every stack, planted on real hosts: the second look names the very rule on the very host, and leaves nothing behind."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import ports
from kbootstrap.engine import trace
from kbootstrap.model.cluster import Host
from kbootstrap.model.reach import Cause, Pair, Proof, Verdict
from kbootstrap.plan.attribution import script
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import Passwords

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Three bare hosts, and how the tests speak to them."""

    lab: labs.Lab

    def sh(self, name: str, text: str) -> str:
        """Run *text* on a host, in which M1, M2 and M3 stand for addresses."""
        for host in self.lab.hosts:
            text = text.replace(host.name.upper(), str(host.address))
        done = labs.execute(self.lab.host(name), ["bash", "-euc", text], timeout_s=120)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def pool(self) -> Pool:
        folder, passwords = Folder(root=self.lab.folder), Passwords()
        spec = inventory.load(folder.cluster_yml)
        return Pool(spec.hosts, lambda host: connect(host, known_hosts=folder.known_hosts, password=passwords.of(host)))

    def attribute(self, pairs: Iterable[Pair], again: Callable[[Pool, Sequence[Pair]], list[Proof]] | None = None) -> dict[Pair, Proof]:
        spec = inventory.load(Folder(root=self.lab.folder).cluster_yml)
        failed = [Proof(pair=pair, verdict=Verdict.DROPPED) for pair in pairs]
        with self.pool() as pool:
            found = trace.attribute(spec, pool, failed, lambda asked: (again or probe)(pool, asked))
        return {proof.pair: proof for proof in found}


def probe(pool: Pool, pairs: Sequence[Pair]) -> list[Proof]:
    """Every source asks its targets, all at once: what a SYN meets within 1.5 s (an ICMP error counts from the second on), a datagram just goes."""
    addresses = {host.name: host.address for host in pool.hosts}

    def ask(host: Host, connection: Connection) -> list[str]:
        mine = [(n, pair) for n, pair in enumerate(pairs) if pair.source == host.name]
        text = "".join(_ask(n, pair.port.protocol, f"{addresses[pair.target]}/{pair.number}") for n, pair in mine)
        return [line.decode() for line in connection.run(f"exec bash -c {shlex.quote(text + 'wait')}").lines()]

    said = [line for outcome in pool.map(ask, [h for h in pool.hosts if h.name in {p.source for p in pairs}]).values() for line in outcome.get()]
    codes = dict(line.split() for line in said)
    verdicts = {"0": Verdict.OPEN, "1": Verdict.REFUSED}
    return [Proof(pair=pair, verdict=verdicts.get(codes[str(n)], Verdict.DROPPED)) for n, pair in enumerate(pairs) if str(n) in codes]


def _ask(number: int, protocol: str, place: str) -> str:
    if protocol == "udp":
        return f"echo {number} >/dev/udp/{place}\n"
    return f"( timeout 1.5 bash -c '3<>/dev/tcp/{place}' 2>/dev/null; echo {number} $? ) &\n"


@pytest.fixture(scope="module")
def practice(claim: Callable[[str], AbstractContextManager[str]], lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with claim("kbattr") as name:
        folder = tmp_path_factory.mktemp("inventory") / name
        found = Practice(lab=labs.up(name=name, masters=3, workers=0, packages=("firewalld", "ufw"), inventory=folder))
        for host in found.lab.hosts:
            found.sh(host.name, "systemctl -q disable --now firewalld; nft flush ruleset")
        yield found


def pair(source: str, target: str, number: int, protocol: str = "tcp") -> Pair:
    return Pair(port=ports.NODEPORT_UDP if protocol == "udp" else ports.NODEPORT_TCP, source=source, target=target, number=number)


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


def test_ufw_by_the_number_of_its_rule(practice: Practice) -> None:
    practice.sh("m3", "ufw allow 22/tcp; ufw deny proto tcp from M2 to any port 30001; ufw reject 30002/tcp; ufw --force enable")
    try:
        found = practice.attribute([pair("m2", "m3", number) for number in (30001, 30002, 30003)] + [pair("m2", "m3", 30003, "udp")])
        causes = [proof.cause for proof in found.values() if proof.cause]
        address = practice.lab.host("m2").address
        assert [(cause.stack, cause.verdict, cause.zone) for cause in causes] == [
            ("ufw", "drop", f"ufw rule [2]: deny 30001/tcp from {address} (in)"),
            ("ufw", "reject", "ufw rule [3]: reject 30002/tcp from any (in)"),
            ("ufw", "drop", "ufw default deny (incoming)"),
            ("ufw", "drop", "ufw default deny (incoming)"),
        ]
        assert re.search(r"\[ 2\] 30001/tcp +DENY IN", practice.sh("m3", "ufw status numbered"))
        for cause in causes:
            practice.sh("m3", cause.hint.partition("on m3: ")[2])
        after = practice.attribute(found)
        assert [proof.cause for proof in after.values() if proof.cause and proof.cause.stack != "listener"] == [], practice.sh("m3", "ufw status")
    finally:
        practice.sh("m3", "ufw --force disable; ufw --force reset; nft flush ruleset")


def test_firewalld_by_its_zone(practice: Practice) -> None:
    rich = "firewall-cmd -q --permanent --zone=home --add-rich-rule='rule family=ipv4 port port=30001 protocol=tcp drop'"
    practice.sh("m3", f"systemctl start firewalld; {rich}; firewall-cmd -q --permanent --zone=home --add-source=M1; firewall-cmd -q --reload")
    try:
        found = practice.attribute([pair("m1", "m3", 30001), pair("m1", "m3", 30002), pair("m2", "m3", 30002), pair("m2", "m3", 30003, "udp")])
        causes = [proof.cause for proof in found.values() if proof.cause]
        assert [(cause.stack, cause.verdict, cause.zone, cause.chain) for cause in causes] == [
            ("firewalld", "drop", "home", "inet firewalld filter_IN_home_deny"),
            ("firewalld", "reject", "home", "inet firewalld filter_IN_home"),
            ("firewalld", "reject", "public", "inet firewalld filter_IN_public"),
            ("firewalld", "reject", "public", "inet firewalld filter_IN_public"),
        ]
        for cause in causes:
            practice.sh("m3", cause.hint.partition("on m3: ")[2])
        after = practice.attribute(found)
        assert [proof.cause for proof in after.values() if proof.cause and proof.cause.stack != "listener"] == []
    finally:
        practice.sh("m3", "systemctl stop firewalld; rm -f /etc/firewalld/zones/*; nft flush ruleset")


def test_the_reverse_path_filter(practice: Practice) -> None:
    """m3 would answer m1 over another card: a strict filter takes the question for forged."""
    practice.sh("m3", "sysctl -q -w net.ipv4.conf.all.rp_filter=1; ip link add up0 type veth peer up1; ip link set up0 up; ip link set up1 up")
    practice.sh("m3", "ip route add M1 dev up0")
    try:
        (proof,) = practice.attribute([pair("m1", "m3", 30001)]).values()
        assert proof.cause is not None
        assert (proof.cause.host, proof.cause.stack) == ("m3", "kernel")
        assert "reverse path filter: the way back is" in proof.cause.rule
        assert "dev up0" in proof.cause.rule
        practice.sh("m3", "sysctl -q -w net.ipv4.conf.all.rp_filter=0")
        (proof,) = practice.attribute([pair("m1", "m3", 30001)]).values()
        assert proof.cause is not None
        assert (proof.cause.host, proof.cause.verdict) == ("m3", "lost on the way")
    finally:
        practice.sh("m3", "sysctl -q -w net.ipv4.conf.all.rp_filter=0; ip link del up0")


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
