"""Rules under the names by which ufw, firewalld and a host without nft know them; and what the kernel drops without any rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.practice import Claim, Practice, pair, practising

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def practice(claim: Claim, lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    with practising(claim, tmp_path_factory.mktemp("inventory")) as found:
        yield found


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


def test_by_counters_where_there_is_no_nft(practice: Practice) -> None:
    practice.sh("m3", "iptables -A INPUT -p tcp --dport 30001 -j DROP; iptables -P FORWARD DROP; mv /usr/sbin/nft /usr/sbin/nft.away")
    try:
        found = practice.attribute([pair("m1", "m3", 30001), pair("m1", "m3", 30002)])
        cause = found[pair("m1", "m3", 30001)].cause
        assert cause is not None
        assert (cause.stack, cause.chain, cause.rule) == ("iptables", "iptables filter INPUT", "-p tcp -m tcp --dport 30001 -j DROP")
        other = found[pair("m1", "m3", 30002)].cause
        assert other is not None
        assert other.stack == "listener"
    finally:
        practice.sh("m3", "mv /usr/sbin/nft.away /usr/sbin/nft; iptables -P FORWARD ACCEPT; nft flush ruleset")


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
