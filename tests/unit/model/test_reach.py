"""A cause in one line, as text, HTML and problems show it."""

from __future__ import annotations

from kbootstrap.model.reach import Cause


def test_a_rule() -> None:
    cause = Cause(host="m2", stack="nftables", verdict="drop", hint="", chain="inet filter input", rule="tcp dport 2380 drop (handle 7)")
    assert str(cause) == "dropped by nftables on m2: inet filter input «tcp dport 2380 drop (handle 7)»"


def test_a_rule_of_somebody_who_manages_rules() -> None:
    zone = Cause(host="m3", stack="firewalld", verdict="reject", hint="", chain="inet firewalld filter_IN_public", rule="reject", zone="public")
    assert str(zone) == "rejected by firewalld on m3: zone public, inet firewalld filter_IN_public «reject»"
    ufw = Cause(
        host="m2", stack="ufw", verdict="drop", hint="", chain="iptables filter INPUT", rule="policy DROP", zone="ufw default deny (incoming)"
    )
    assert str(ufw) == "dropped by ufw on m2: ufw default deny (incoming), iptables filter INPUT «policy DROP»"


def test_no_rule_at_all() -> None:
    assert str(Cause(host="w1", stack="route", verdict="no route", hint="", rule="blackhole 192.0.2.13")) == "no route on w1: «blackhole 192.0.2.13»"
