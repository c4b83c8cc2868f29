"""In which order hosts are rebooted, and when a member of etcd must not be."""

from __future__ import annotations

import pytest

from kbootstrap.plan import node_reboot as words
from kbootstrap.plan.ledger import Ledger
from kbootstrap.testing.builders import a_cluster


def test_workers_first_and_the_leader_last() -> None:
    hosts = a_cluster(masters=3, workers=2).hosts
    assert [host.name for host in words.order(hosts, "m1")] == ["w1", "w2", "m2", "m3", "m1"]
    assert [host.name for host in words.order(hosts, "")] == ["w1", "w2", "m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("host", "voters", "alive", "why"),
    [
        ("m1", "m1 m2 m3", "m1 m2 m3", ""),
        ("m1", "m1 m2 m3", "m1 m2", "m3 does not follow"),
        ("m3", "m1 m2 m3", "m1 m2", ""),  # it is away already
        ("m1", "m1 m2 m3 m4 m5", "m1 m2 m3 m4", ""),
        ("m1", "m1 m2 m3 m4 m5", "m1 m2 m3", "m4, m5 does not follow"),
        ("m1", "m1", "m1", "etcd's only member"),
        ("m1", "m1 m2", "m1 m2", "needed for etcd's quorum (2 of 2)"),
        ("w1", "m1 m2 m3", "m1", ""),
        ("m1", "", "", "no majority of etcd's members answers"),
    ],
)
def test_a_member_that_the_quorum_needs_stays(host: str, voters: str, alive: str, why: str) -> None:
    found = words.breaks(host, voters.split(), alive.split())
    assert why in found
    assert bool(found) is bool(why)


def test_only_our_own_units_are_waited_for() -> None:
    entry = {"kind": "service", "before": None}
    ledger = Ledger(entries={"service/etcd.service": entry, "/etc/x": {"kind": "file", "before": None}})
    text = words.look(ledger)
    assert "for u in etcd.service;" in text
    assert "/etc/x" not in text
    assert words.seen("a-b-c\netcd.service\n") == ("a-b-c", ("etcd.service",))
    assert "for u" not in words.look(Ledger())


def test_what_is_waited_for_behind_a_reboot() -> None:
    spec = a_cluster(masters=1, workers=1)
    assert [gate.name for gate in words.back(spec.host("m1"), ["etcd.service"], 60)] == ["units-active", "etcd-endpoint", "apiserver-readyz"]
    assert [gate.name for gate in words.back(spec.host("w1"), ["kubelet.service"], 60)] == ["units-active"]
    assert words.back(spec.host("w1"), [], 60) == ()
