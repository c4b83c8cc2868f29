"""What the inventory's settings become: flags and configuration documents."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from kbootstrap.model.cluster import ClusterSpec, Endpoint, EndpointKind, NodeFailure, Plugin
from kbootstrap.model.host import Host, Kubelet, Proxy, Role, Taint, TaintEffect
from kbootstrap.model.sealing import SealKey
from kbootstrap.render import apiserver, controller_manager, coredns, endpoint, etcd, flags, kubelet, network, proxy
from kbootstrap.render.documents import merged
from kbootstrap.render.encryption import encryption_config
from kbootstrap.render.versions import at_least
from kbootstrap.testing.builders import a_cluster, a_host

SPEC = a_cluster(versions={"etcd": "3.6.14"})
M1, W1 = SPEC.host("m1"), SPEC.host("w1")
RANGES = {host.name: IPv4Network(f"10.244.{n}.0/24") for n, host in enumerate(SPEC.hosts)}


def _host(name: str = "w1", *roles: Role, **kw: Any) -> Host:
    return a_host(name, "10.77.0.21", *(roles or (Role.WORKER,)), **kw)


def test_a_flag_of_the_user_takes_our_flags_place_and_new_ones_come_last() -> None:
    host = _host(extra_args={"kubelet": {"a": "mine", "z": ""}, "etcd": {"q": "1"}})
    assert flags.arguments("kubelet", {"a": 1, "b": True, "c": ("x", "y")}, host) == ("--a=mine", "--b=true", "--c=x,y", "--z=")


def test_documents_merge_at_every_depth_and_lists_replace() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "d": {"e": 2}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}


@pytest.mark.parametrize(("version", "wanted", "answer"), [("3.6.14", "3.6", True), ("3.5.21", "3.6", False), ("1.36.0-rc.1", "1.36", True)])
def test_versions_compare_as_numbers(version: str, wanted: str, answer: bool) -> None:
    assert at_least(version, wanted) is answer


def test_every_etcd_member_is_told_of_all_and_of_its_state() -> None:
    all_ = "m1=https://10.77.0.11:2380,m2=https://10.77.0.12:2380,m3=https://10.77.0.13:2380"
    assert etcd.initial_cluster(SPEC) == all_
    assert etcd.initial(all_, "existing", "lab").splitlines() == [
        f"ETCD_INITIAL_CLUSTER={all_}",
        "ETCD_INITIAL_CLUSTER_STATE=existing",
        "ETCD_INITIAL_CLUSTER_TOKEN=lab",
    ]
    assert "--name=m1" in etcd.arguments(SPEC, M1)


def test_etcd_3_5_gets_the_names_of_its_time() -> None:
    older = etcd.arguments(replace(SPEC, versions={"etcd": "3.5.21"}), M1)
    assert "--experimental-initial-corrupt-check=true" in older
    assert "--experimental-compact-hash-check-enabled=true" in older
    assert not [flag for flag in older if flag.startswith("--feature-gates")]


def test_node_failure_timing_reaches_everyone_concerned() -> None:
    spec = replace(SPEC, node_failure=NodeFailure(status_period_s=3, grace_s=24, evict_s=60))
    assert {"--default-not-ready-toleration-seconds=60", "--default-unreachable-toleration-seconds=60"} <= set(apiserver.arguments(spec, M1))
    assert {"--node-monitor-period=3s", "--node-monitor-grace-period=24s"} <= set(controller_manager.arguments(spec, M1))
    config = kubelet.configuration(spec, W1)
    assert (config["nodeStatusUpdateFrequency"], config["nodeLeaseDurationSeconds"], config["nodeStatusReportFrequency"]) == ("3s", 24, "5m0s")


def test_an_external_cloud_is_told_to_kubelet_and_controller_manager() -> None:
    spec = replace(SPEC, cloud="external")
    assert "--cloud-provider=external" in kubelet.arguments(spec, W1)
    assert "--cloud-provider=external" in controller_manager.arguments(spec, M1)
    assert not [flag for flag in (*kubelet.arguments(SPEC, W1), *controller_manager.arguments(SPEC, M1)) if "cloud" in flag]


def test_a_master_is_tainted_unless_it_is_a_worker_too() -> None:
    gpu = Taint(key="gpu", value="true", effect=TaintEffect.NO_SCHEDULE)
    control_plane = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    only = kubelet.configuration(SPEC, _host("m9", Role.MASTER, taints=(gpu,)))["registerWithTaints"]
    both = kubelet.configuration(SPEC, _host("m9", Role.MASTER, Role.WORKER, taints=(gpu,)))["registerWithTaints"]
    assert only == [control_plane, {"key": "gpu", "value": "true", "effect": "NoSchedule"}]
    assert both == only[1:]


def test_a_kubelet_names_only_the_labels_that_it_may_set() -> None:
    labels = {
        "disk": "ssd",
        "example.com/x": "1",
        "topology.kubernetes.io/zone": "a",
        "custom.node.kubernetes.io/y": "2",
        "node-role.kubernetes.io/gpu": "",
        "node-restriction.kubernetes.io/z": "3",
        "k8s.io/a": "4",
    }
    host = _host(labels=labels)
    assert "--node-labels=custom.node.kubernetes.io/y=2,disk=ssd,example.com/x=1,topology.kubernetes.io/zone=a" in kubelet.arguments(SPEC, host)
    assert kubelet.node_labels(host) == {"node-role.kubernetes.io/worker": "", **labels}
    assert not [flag for flag in kubelet.arguments(SPEC, W1) if flag.startswith("--node-labels")]


def test_the_users_own_kubelet_configuration_wins() -> None:
    ours = Kubelet(allow_cgroup_v1=True, cgroup_driver="cgroupfs", config={"maxPods": 50, "authentication": {"webhook": {"cacheTTL": "1m0s"}}})
    config = kubelet.configuration(SPEC, _host(kubelet=ours))
    assert (config["failCgroupV1"], config["cgroupDriver"], config["maxPods"]) == (False, "cgroupfs", 50)
    assert config["authentication"]["webhook"] == {"enabled": True, "cacheTTL": "1m0s"}


def test_conntrack_is_left_alone_only_when_asked() -> None:
    assert "conntrack" not in proxy.configuration(SPEC, W1)
    assert proxy.configuration(SPEC, _host(proxy=Proxy(conntrack_max_per_core=0)))["conntrack"] == {"maxPerCore": 0}


def test_the_gateway_and_haproxy_know_every_master() -> None:
    assert endpoint.backends(SPEC) == {"m1": "10.77.0.11:6443", "m2": "10.77.0.12:6443", "m3": "10.77.0.13:6443"}
    assert "--endpoints=10.77.0.11:6443,10.77.0.12:6443,10.77.0.13:6443" in endpoint.gateway_arguments(SPEC)


def _plugin(plugin: Plugin, mtu: int = 0) -> ClusterSpec:
    return replace(SPEC, network=replace(SPEC.network, plugin=plugin, mtu=mtu), endpoint=Endpoint(kind=EndpointKind.HAPROXY))


@pytest.mark.parametrize(
    ("plugin", "mtu", "pods"), [(Plugin.ROUTES, 0, 1500), (Plugin.ROUTES, 9000, 9000), (Plugin.VXLAN, 0, 1450), (Plugin.VXLAN, 1400, 1350)]
)
def test_a_vxlan_takes_fifty_bytes_of_each_packet(plugin: Plugin, mtu: int, pods: int) -> None:
    bridge = network.cni(_plugin(plugin, mtu), RANGES["w1"])["plugins"][0]
    assert (bridge["mtu"], bridge["ipam"]["ranges"]) == (pods, [[{"subnet": "10.244.3.0/24"}]])


def test_pods_keep_their_address_where_the_way_back_is_known() -> None:
    assert network.not_masqueraded(_plugin(Plugin.ROUTES)) == ("10.244.0.0/16", *(str(host.address) for host in SPEC.hosts))
    assert network.not_masqueraded(_plugin(Plugin.VXLAN)) == ("10.244.0.0/16",)


def test_peers_are_all_others_with_macs_made_of_their_addresses() -> None:
    peers = network.peers(SPEC, M1, RANGES)
    assert [peer.name for peer in peers] == ["m2", "m3", "w1", "w2"]
    assert (peers[0].mac, peers[0].gateway) == ("02:6b:0a:4d:00:0c", IPv4Address("10.244.1.0"))


def test_coredns_tolerates_masters_only_when_there_is_nothing_else() -> None:
    assert coredns.view(SPEC, "x")["on_masters"] is False
    assert coredns.view(a_cluster(1, 0), "x")["on_masters"] is True
    assert [coredns.view(replace(SPEC, kubernetes=version), "x")["traffic"] for version in ("1.34.4", "1.35.4")] == ["PreferClose", "PreferSameNode"]


def test_the_encryption_key_seals_secrets_and_nothing_reads_clear_text() -> None:
    text = encryption_config([SealKey(secret=bytes(range(32)))])
    assert "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" in text
    assert "secretbox" in text
    assert "identity" not in text
