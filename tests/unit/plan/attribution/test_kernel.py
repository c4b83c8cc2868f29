"""Routes, neighbours, listeners and drop counters, as the programs print them."""

from __future__ import annotations

from ipaddress import IPv4Address

from kbootstrap.plan.attribution import kernel, places
from kbootstrap.plan.attribution.kernel import Listener

GOAL = IPv4Address("192.0.2.12")


def test_ways() -> None:
    found = kernel.ways(
        "to 192.0.2.11\n192.0.2.11 via 10.0.2.2 dev eth0 src 10.0.2.15 uid 0 \n    cache \n"
        "to 192.0.2.12\nRTNETLINK answers: Invalid argument\n"
        "to 192.0.2.13\nlocal 192.0.2.13 dev lo src 192.0.2.13 uid 0 \n    cache <local> \n"
        "to 192.0.2.14\nRTNETLINK answers: Network is unreachable\n"
    )
    first = found[IPv4Address("192.0.2.11")]
    assert (first.leads, first.device, first.gateway, first.source) == (True, "eth0", "10.0.2.2", "10.0.2.15")
    assert [found[IPv4Address(f"192.0.2.{last}")].kind for last in (12, 13, 14)] == ["blackhole", "local", "none"]


def test_the_narrowest_route_that_leads_nowhere() -> None:
    text = "blackhole 192.0.2.0/24 \nunreachable default metric 4278198272 \nprohibit 192.0.2.12 \nblackhole 10.0.0.0/8 proto static \n"
    assert kernel.special(text, GOAL) == "prohibit 192.0.2.12"
    assert kernel.special(text, IPv4Address("192.0.2.99")) == "blackhole 192.0.2.0/24"
    assert kernel.special("", GOAL) == ""


def test_neighbours() -> None:
    found = kernel.neighbours("192.0.2.12 dev eth0 lladdr 02:4b:0a:4d:00:0c REACHABLE\n192.0.2.13 dev eth0  FAILED\n")
    assert found == {"192.0.2.12": "02:4b:0a:4d:00:0c", "192.0.2.13": "FAILED"}


def test_listeners() -> None:
    found = kernel.listeners(
        'tcp LISTEN 0 128 127.0.0.1:2380 0.0.0.0:* users:(("etcd",pid=712,fd=3))\n'
        "tcp LISTEN 0 4096 *:10250 *:*\n"
        "udp UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*\n"
    )
    assert found[0] == Listener(protocol="tcp", address="127.0.0.1", port=2380, holder="etcd (pid 712)")
    assert [each.hears(GOAL) for each in found] == [False, True, False]
    assert Listener(protocol="tcp", address="192.0.2.12", port=1).hears(GOAL)


def test_drops_are_what_was_counted_meanwhile() -> None:
    table = "entries  found drop early_drop\n0000000a 00000001 {0:08x} 00000000\n0000000a 00000001 00000001 00000000\n"
    text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 3 {0}\nIpExt: InNoRoutes\nIpExt: 0\n" + table
    assert kernel.drops(text.format(2), text.format(20)) == {kernel.REVERSE_PATH: 18, kernel.NO_ROOM: 18}
    assert kernel.drops("", "") == {kernel.REVERSE_PATH: 0, kernel.NO_ROOM: 0}


def test_zones() -> None:
    chains = ("filter_IN_public", "filter_IN_public_deny", "filter_FWD_home_pre", "filter_INPUT", "filter_IN_policy_x_deny", "filter_IN_a_b_allow")
    assert [places.zone(chain) for chain in chains] == ["public", "public", "home", "", "", "a_b"]


def test_ufw_counts_its_tuples_not_their_rules() -> None:
    rules = (
        "### tuple ### allow any 53 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 53 -j ACCEPT\n"
        "-A ufw-user-input -p udp --dport 53 -j ACCEPT\n"
        "### tuple ### route:deny tcp 80 0.0.0.0/0 any 192.0.2.0/24 in\n-A ufw-user-forward -p tcp -s 192.0.2.0/24 --dport 80 -j DROP\n"
        "### tuple ### deny tcp 2380 192.0.2.12 any 192.0.2.11 in_eth0 comment=6e6f\n-A ufw-user-input -i eth0 -p tcp --dport 2380 -j DROP\n"
    )
    assert places.ufw_place("ufw-user-input", 3, rules) == "ufw rule [3]: deny 2380/tcp to 192.0.2.12 from 192.0.2.11 (in on eth0)"
    assert places.ufw_place("ufw-user-forward", 1, rules) == "ufw rule [2]: route:deny 80/tcp from 192.0.2.0/24 (in)"
    assert places.ufw_place("ufw-user-input", 9, rules) == "a rule of ufw"
    assert places.ufw_place("ufw-reject-input", 1, rules) == "ufw default reject (incoming)"
    assert places.ufw_place("FORWARD", 0, rules) == "ufw default deny (routed)"
    assert places.ufw_place("ufw-user-limit", 2, rules).startswith("ufw limit")
