"""The matrix: the user's own table of ports, read back from it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from kbootstrap import topology
from kbootstrap.catalog import ports
from kbootstrap.catalog.ports import Hook
from kbootstrap.model.cluster import ClusterSpec, Network, Plugin
from kbootstrap.model.host import Role
from kbootstrap.testing.builders import a_cluster, a_host
from kbootstrap.topology import ANYWHERE

SPEC = a_cluster()
PODS = SPEC.network.pods


def opened(spec: ClusterSpec, host: str) -> dict[tuple[str, str], set[str]]:
    return {(o.port.name, o.hook.value): {str(n) for n in o.networks} for o in topology.openings(spec, spec.host(host))}


def hosts(*last: int) -> set[str]:
    return {f"10.77.0.{number}/32" for number in last}


ALL_HOSTS = hosts(11, 12, 13, 21, 22)
MASTERS = hosts(11, 12, 13)
EVERYONE = {str(ANYWHERE)}


def test_what_a_master_opens() -> None:
    assert opened(SPEC, "m1") == {
        ("ssh", "input"): EVERYONE,
        ("kube-apiserver", "input"): EVERYONE,
        ("etcd-client", "input"): MASTERS,
        ("etcd-peer", "input"): MASTERS,
        ("kubelet", "input"): MASTERS | {str(PODS)},
        ("kube-proxy-health", "input"): ALL_HOSTS,
        ("pods", "forward"): ALL_HOSTS | {str(PODS)},
    }


def test_what_a_worker_opens() -> None:
    assert opened(SPEC, "w1") == {
        ("ssh", "input"): EVERYONE,
        ("kubelet", "input"): MASTERS | {str(PODS)},
        ("kube-proxy-health", "input"): ALL_HOSTS,
        ("nodeport-tcp", "input"): EVERYONE,
        ("nodeport-tcp", "forward"): EVERYONE,
        ("nodeport-udp", "input"): EVERYONE,
        ("nodeport-udp", "forward"): EVERYONE,
        ("pods", "forward"): ALL_HOSTS | {str(PODS)},
    }


def test_the_overlay_has_a_port_only_where_it_is_used() -> None:
    spec = replace(SPEC, network=Network(plugin=Plugin.VXLAN))
    assert opened(spec, "w1")[("vxlan", "input")] == ALL_HOSTS
    assert "vxlan" not in {row.port.name for row in topology.rows(SPEC)}


def test_without_workers_masters_do_their_work() -> None:
    assert ("nodeport-tcp", "forward") in opened(a_cluster(masters=3, workers=0), "m1")
    assert ("nodeport-tcp", "forward") not in opened(SPEC, "m1")


def test_a_host_that_is_both() -> None:
    both = a_host("b1", "10.77.0.31", Role.MASTER, Role.WORKER)
    spec = replace(SPEC, hosts=(both,))
    assert {"etcd-peer", "nodeport-udp"} <= {name for name, _ in opened(spec, "b1")}
    assert topology.pairs(spec) == ()


def test_what_only_the_host_itself_asks_is_in_the_matrix_alone() -> None:
    names = {row.port.name for row in topology.rows(SPEC)}
    assert {"etcd-metrics", "kube-scheduler", "kubelet-health"} <= names
    for host in SPEC.hosts:
        assert not {"etcd-metrics", "kube-scheduler", "kubelet-health"} & {name for name, _ in opened(SPEC, host.name)}


def test_pairs_are_directed_and_never_with_oneself() -> None:
    found = topology.pairs(SPEC, chosen=5)
    ids = [pair.id for pair in found]
    assert len(ids) == len(set(ids))
    assert all(pair.source != pair.target for pair in found)
    assert "m1→m2:2380/tcp" in ids and "m2→m1:2380/tcp" in ids
    assert "w1→m1:6443/tcp" in ids and "w1→m1:2379/tcp" not in ids
    # 2 of 3 masters ask each master on 2379 and 2380; 4 hosts each master on 6443; masters the kubelets; all hosts 10256; all the workers' ranges
    kubelet = 3 * 2 + 2 * 3
    assert len(found) == 2 * 3 * 2 + 3 * 4 + kubelet + 5 * 4 + 2 * (2 * 4 * 3)


@pytest.mark.parametrize("chosen", [0, 1, 2765, 2766, 10**9])
def test_a_range_is_proven_by_three_of_its_ports(chosen: int) -> None:
    first, middle, last = topology.numbers(ports.NODEPORT_TCP, chosen)
    assert (first, last) == (30000, 32767)
    assert first < middle < last


def test_one_port_is_itself() -> None:
    assert topology.numbers(ports.API, 7) == (6443,)


def test_forwarded_and_answered() -> None:
    assert ports.NODEPORT_TCP.hooks == (Hook.INPUT, Hook.FORWARD)
    assert IPv4Network("0.0.0.0/0") == ANYWHERE
