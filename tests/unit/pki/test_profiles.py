"""The table of certificates, as a whole and where a mistake would hurt most."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from kbootstrap.catalog import names
from kbootstrap.errors import InventoryError
from kbootstrap.model.cluster import Certificates, Endpoint, EndpointKind
from kbootstrap.model.host import Role
from kbootstrap.model.pki import Profile, Usage
from kbootstrap.pki.profiles import CAS, KUBECONFIGS, PLACES, profiles
from kbootstrap.testing.builders import a_cluster, a_host

MASTER = [
    "etcd-server", "etcd-peer", "apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "front-proxy-client", "controller-manager",
    "scheduler", "kubelet-server", "endpoint-health", "controller-manager-client", "scheduler-client", "kubelet-client", "kube-proxy-client",
]  # fmt: skip
WORKER = ["kubelet-server", "endpoint-health", "kubelet-client", "kube-proxy-client"]


def _by_id(**kw: object) -> dict[str, Profile]:
    return {p.id: p for p in profiles(a_cluster(**kw))}  # type: ignore[arg-type]  # a_cluster checks them


def test_each_host_gets_what_its_roles_need() -> None:
    wanted = [p.id for p in profiles(a_cluster(masters=1, workers=1))]
    assert wanted == [*(f"m1/{name}" for name in MASTER), *(f"w1/{name}" for name in WORKER), "admin"]


def test_a_host_that_is_both_gets_each_once() -> None:
    spec = a_cluster(hosts=(a_host("m1", "10.77.0.11", Role.MASTER, Role.WORKER),))
    assert [p.name for p in profiles(spec)] == [*MASTER, "admin"]


def test_the_api_server_is_known_by_every_name_it_is_dialled_by() -> None:
    api = _by_id()["m2/apiserver"]
    assert api.dns_names == ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", "m2")
    assert api.ip_addresses == tuple(map(ip_address, ("10.77.0.12", "127.0.0.1", "10.96.0.1")))
    assert api.organizations == ()


def test_the_users_endpoint_and_names_are_added_once_and_sorted_by_kind() -> None:
    api = _by_id(
        endpoint=Endpoint(kind=EndpointKind.EXTERNAL, address="Api.Example.com", port=443),
        certificates=Certificates(extra_sans=("192.0.2.7", "127.0.0.1", "api.example.com", "fd00::1", "*.example.com")),
    )["m1/apiserver"]
    assert api.dns_names[-2:] == ("api.example.com", "*.example.com")
    assert api.ip_addresses[-2:] == (ip_address("192.0.2.7"), ip_address("fd00::1"))


@pytest.mark.parametrize(
    ("profile", "issuer", "subject", "groups", "usages", "sans"),
    [
        ("m1/etcd-server", "etcd-ca", "m1", (), "server client", "m1 localhost 10.77.0.11 127.0.0.1"),
        ("m1/etcd-peer", "etcd-ca", "m1", (), "server client", "m1 10.77.0.11"),
        ("m1/apiserver-etcd-client", "etcd-ca", "kube-apiserver-etcd-client", (), "client", ""),
        ("m1/apiserver-kubelet-client", "ca", names.KUBELET_CLIENT_USER, (), "client", ""),
        ("m1/front-proxy-client", "front-proxy-ca", "front-proxy-client", (), "client", ""),
        ("m1/controller-manager", "ca", "kube-controller-manager", (), "server", "localhost 127.0.0.1"),
        ("m1/scheduler", "ca", "kube-scheduler", (), "server", "localhost 127.0.0.1"),
        ("w1/kubelet-server", "ca", "system:node:w1", ("system:nodes",), "server", "w1 10.77.0.21"),
        ("w1/endpoint-health", "ca", names.HEALTH_USER, (), "client", ""),
        ("m1/controller-manager-client", "ca", "system:kube-controller-manager", (), "client", ""),
        ("m1/scheduler-client", "ca", "system:kube-scheduler", (), "client", ""),
        ("w1/kubelet-client", "ca", "system:node:w1", ("system:nodes",), "client", ""),
        ("w1/kube-proxy-client", "ca", "system:kube-proxy", ("system:node-proxier",), "client", ""),
        ("admin", "ca", names.ADMIN_USER, (names.ADMIN_GROUP,), "client", ""),
    ],
)
def test_the_table(*, profile: str, issuer: str, subject: str, groups: tuple[str, ...], usages: str, sans: str) -> None:
    p = _by_id()[profile]
    assert (p.issuer, p.common_name, p.organizations) == (issuer, subject, groups)
    assert p.usages == tuple(Usage(u) for u in usages.split())
    assert " ".join([*p.dns_names, *map(str, p.ip_addresses)]) == sans


def test_nobody_is_in_system_masters() -> None:
    assert not any("system:masters" in p.organizations for p in profiles(a_cluster()))


def test_every_certificate_has_one_way_to_its_host() -> None:
    for p in profiles(a_cluster()):
        assert bool(p.place) != bool(p.kubeconfig)
        assert PLACES.get(p.name) == p.place
        assert not p.kubeconfig or KUBECONFIGS[p.kubeconfig] == p.name


def test_no_ca_key_has_a_place_on_a_host() -> None:
    assert all(PLACES[name].key == "" for name in CAS)


def test_no_two_files_share_a_place() -> None:
    places = [path for place in PLACES.values() for path in {place.cert, place.key} - {""}]
    assert len(places) == len(set(places))


def test_only_etcds_own_files_leave_root() -> None:
    assert {name for name, place in PLACES.items() if place.owner != "root"} == {"etcd-ca", "etcd-server", "etcd-peer"}
    assert all(place.cert.startswith("/etc/etcd/pki/") == (place.owner == "etcd") for place in PLACES.values())


def test_a_host_name_that_no_certificate_can_hold_is_refused() -> None:
    fits, long = "a" * 52, "a" * 53
    assert profiles(a_cluster(hosts=(a_host(fits, "10.77.0.11", Role.MASTER),)))
    with pytest.raises(InventoryError) as caught:
        profiles(a_cluster(hosts=(a_host(long, "10.77.0.11", Role.MASTER),)))
    assert caught.value.problems[0].where == long
