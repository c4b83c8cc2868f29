"""Commands in the words of each tool: several sources and ports, answers, translated packets, other tables."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from kbootstrap.plan.attribution import mend
from kbootstrap.plan.attribution.mend import Gap

GAP = Gap(
    protocol="tcp",
    ports=((2379, 2379), (30000, 32767)),
    sources=(IPv4Address("192.0.2.11"), IPv4Address("192.0.2.13")),
    target=IPv4Address("192.0.2.12"),
    hook="input",
)


def test_nft() -> None:
    assert list(mend.nft(GAP, "inet", "filter", "input")) == [
        "nft 'insert rule inet filter input ip saddr { 192.0.2.11, 192.0.2.13 } tcp dport { 2379, 30000-32767 } accept comment \"kbootstrap\"'"
    ]
    (answer,) = mend.nft(replace(GAP, answer=True, hook="output"), "inet", "filter", "out")
    assert "ip daddr { 192.0.2.11, 192.0.2.13 } ip saddr 192.0.2.12 tcp sport { 2379, 30000-32767 } accept" in answer


def test_iptables() -> None:
    assert list(mend.iptables(GAP, "iptables", "filter", "INPUT")) == [
        "iptables -I INPUT 1 -p tcp -s 192.0.2.11,192.0.2.13 -m multiport --dports 2379,30000:32767 -m comment --comment kbootstrap -j ACCEPT"
    ]
    (early,) = mend.iptables(replace(GAP, ports=((2379, 2379),), hook="prerouting"), "iptables-legacy", "raw", "PREROUTING")
    assert early.startswith("iptables-legacy -t raw -I PREROUTING 1 -p tcp -s 192.0.2.11,192.0.2.13 --dport 2379 ")
    translated = list(mend.iptables(replace(GAP, hook="forward", translated=80), "iptables", "filter", "FORWARD"))
    assert ["--ctorigdstport 2379 " in translated[0], "--ctorigdstport 30000:32767 " in translated[1]] == [True, True]


def test_ufw() -> None:
    assert list(mend.ufw(replace(GAP, hook="forward", translated=80))) == [
        "ufw route prepend allow proto tcp from 192.0.2.11 to any port 80 comment kbootstrap",
        "ufw route prepend allow proto tcp from 192.0.2.13 to any port 80 comment kbootstrap",
    ]
    assert next(mend.ufw(replace(GAP, hook="output"))) == (
        "ufw prepend allow out proto tcp from 192.0.2.11 to 192.0.2.12 port 2379,30000:32767 comment kbootstrap"
    )


def test_firewalld() -> None:
    assert len(list(mend.firewalld(GAP))) == 4
    assert mend.in_zone("", ["--x"]) == "firewall-cmd --permanent --x && firewall-cmd --reload"


def test_what_nobody_would_type_is_not_shown() -> None:
    assert mend.ours("m2", "input", ["x" * mend.TOO_LONG]) == "invoke firewall.apply --limit m2"
    assert mend.ours("m2", "output", ["x" * mend.TOO_LONG]).startswith("on m2: x")


def test_a_firewall_that_is_left_to_the_operator_is_not_opened_by_us() -> None:
    assert mend.ours("m2", "input", ["x" * mend.TOO_LONG], managed=False).startswith("on m2: x")
