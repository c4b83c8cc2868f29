"""What values mean together: each refusal's message with its place, and each warning."""

# ruff: noqa: E501  one case, one line: the table is what is read

from __future__ import annotations

from collections.abc import Callable

import pytest

Lines = Callable[[str], list[str]]

HEAD = 'cluster: lab\nkubernetes: "1.36.3"\n'
WORKER = "  workers:\n    w1: {address: 10.0.0.21}\n"


def masters(count: int) -> str:
    hosts = "".join(f"    m{n}: {{address: 10.0.0.{n}}}\n" for n in range(1, count + 1))
    return f"{HEAD}hosts:\n  masters:\n{hosts}{WORKER}"


@pytest.mark.parametrize(("count", "quorum"), [(2, 2), (4, 3), (6, 4)])
def test_even_masters(count: int, quorum: int, lines_of: Lines) -> None:
    assert lines_of(masters(count)) == [
        f"c.yml:4:3  masters: {count} given; etcd needs an odd number (1, 3, 5): "
        f"quorum of {count} is {quorum}, one more host, no more failures survived. Add or remove one."
    ]


def test_two_masters_and_three_workers_of_the_users_notes(lines_of: Lines) -> None:
    text = masters(2) + "    w2: {address: 10.0.0.22}\n    w3: {address: 10.0.0.23}\n"
    assert lines_of(text)[0].startswith("c.yml:4:3  masters: 2 given; etcd needs an odd number (1, 3, 5): quorum of 2 is 2")


@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_odd_masters(count: int, lines_of: Lines) -> None:
    assert lines_of(masters(count)) == []


def test_many_masters_is_a_warning(lines_of: Lines) -> None:
    assert lines_of(masters(9)) == ["c.yml:4:3  warning: masters: 9 given; every write waits for 5 of them. Five survive two failures."]


@pytest.mark.parametrize(
    ("hosts", "place"),
    [("hosts: {}\n", "3:1"), ("hosts:\n  masters: {}\n", "4:3"), ("", "1:1"), ("hosts:\n  workers: {w1: {address: 10.0.0.1}}\n", "3:1")],
)
def test_no_masters(hosts: str, place: str, lines_of: Lines) -> None:
    assert f"c.yml:{place}  masters: none given; etcd needs an odd number (1, 3, 5). Add `hosts: {{masters: {{m1: {{address: …}}}}}}`." in lines_of(
        HEAD + hosts
    )


def test_no_workers_is_a_warning(lines_of: Lines) -> None:
    expected = "c.yml:3:1  warning: workers: none given; masters stay tainted, so ordinary pods will not run. List a master under workers too."
    assert lines_of(masters(1).removesuffix(WORKER)) == [expected]


@pytest.mark.parametrize("key", ["cluster", "kubernetes"])
@pytest.mark.parametrize("value", ["", "{key}:\n", "{key}: ~\n"])
def test_missing(key: str, value: str, good: str, lines_of: Lines) -> None:
    line = next(each for each in good.splitlines(keepends=True) if each.startswith(key))
    found = lines_of(good.replace(line, value.format(key=key)))
    assert len(found) == 1
    assert f"{key}: the {'name' if key == 'cluster' else 'version'} is missing. Write `{key}: " in found[0]


@pytest.mark.parametrize("entry", ["{}", "", "{address: }", "{ssh: {user: kb}}"])
def test_missing_address(entry: str, good: str, lines_of: Lines) -> None:
    found = lines_of(good.replace("w1: {address: 10.0.0.21}", f"w1: {entry}"))
    assert found == ["c.yml:7:5  w1: the address is missing. Write `address: ` and the IPv4 address that the other hosts reach it by."]


def test_duplicate_address(good: str, lines_of: Lines) -> None:
    expected = "c.yml:7:10  w1: address 10.0.0.11 belongs to m1 already. Every host has an address of its own."
    assert lines_of(good.replace("10.0.0.21", "10.0.0.11")) == [expected]


def test_duplicate_name_is_a_duplicate_key(good: str, lines_of: Lines) -> None:
    assert lines_of(f"{good}    w1: {{address: 10.0.0.22}}\n") == ["c.yml:8:5  w1 is given twice (first at line 7). Keep one of them."]


def test_two_hosts_behind_one_door(good: str, lines_of: Lines) -> None:
    text = good.replace("10.0.0.11}", "10.0.0.11, ssh: {host: 127.0.0.1, port: 2222}}").replace(
        "10.0.0.21}", "10.0.0.21, ssh: {host: 127.0.0.1, port: 2222}}"
    )
    assert lines_of(text) == ["c.yml:7:36  w1: ssh to 127.0.0.1 port 2222 leads to m1 already. Check host and port."]
    assert lines_of(text.replace("2222}}\n  workers", "2200}}\n  workers")) == []


def test_a_host_with_both_roles_has_its_settings_in_one_place(good: str, lines_of: Lines) -> None:
    assert lines_of(f"{good}    m1: {{}}\n") == []
    assert lines_of(f"{good}    m1:\n") == []
    expected = "c.yml:8:5  m1 has settings here and under masters (line 5). Keep them there and write `m1: {}` here."
    assert lines_of(f"{good}    m1: {{labels: {{a: b}}}}\n") == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("groups: {g: {hosts: [w1, w11]}}", "c.yml:8:26  group g: there is no host w11. Did you mean w1?"),
        ("groups: {g: {hosts: [zebra]}}", "c.yml:8:22  group g: there is no host zebra. Known here: m1, w1."),
        (
            "endpoint: external",
            "c.yml:8:1  endpoint: external needs the address of your load balancer. Write `endpoint: {kind: external, address: 10.0.0.5}`.",
        ),
        ("endpoint: {kind: external, port: 6443}", "c.yml:8:1  endpoint: external needs the address of your load balancer."),
        ("endpoint: {address: 10.0.0.5}", "c.yml:8:12  endpoint: haproxy runs on every host and takes no address. Remove it, or use kind: external."),
        ("endpoint: {kind: gateway, port: 1}", "c.yml:8:27  endpoint: gateway runs on every host and takes no port."),
        ("ssh: {bastion: {user: a}}", "c.yml:8:7  bastion: the host is missing. Write `bastion: {host: …}`."),
        (
            "node_failure: {grace_s: 14}",
            "c.yml:8:16  node_failure: grace_s is 14; a hung connection is noticed after 15 s, so healthy nodes would count as lost. Write 16 or more",
        ),
        ("node_failure: {grace_s: 15}", "c.yml:8:16  node_failure: grace_s is 15; a hung connection is noticed after 15 s"),
        ("node_failure: {status_period_s: 30}", "c.yml:8:1  node_failure: grace_s is 40, less than two status periods of 30 s;"),
        ("etcd: {heartbeat_ms: 300}", "c.yml:8:1  etcd: election_ms is 1000, less than five heartbeats of 300 ms; etcd refuses that. Write 3000."),
        ("certificates: {leaf_days: 400, ca_days: 300}", "c.yml:8:16  certificates: leaf_days 400 is longer than ca_days 300."),
        (
            "certificates: {leaf_days: 30}",
            "c.yml:8:1  certificates: renew_within_days 30 is not below leaf_days 30; every run would renew everything.",
        ),
        ("artifacts: {source: mirror}", "c.yml:8:13  artifacts: source is mirror, but mirror is not given."),
        (
            "network: {pods: 10.96.0.0/12}",
            "c.yml:8:11  network: services 10.96.0.0/16 overlaps pods 10.96.0.0/12. Choose ranges that nothing else uses.",
        ),
        ("network: {services: 10.244.128.0/20}", "c.yml:8:11  network: services 10.244.128.0/20 overlaps pods 10.244.0.0/16."),
        (
            "network: {services: 10.96.0.0/29}",
            "c.yml:8:11  network: services 10.96.0.0/29 has 8 addresses; the DNS service is the tenth. Use /28 or larger",
        ),
        ("network: {services: 16.0.0.0/11}", "c.yml:8:11  network: services 16.0.0.0/11 is larger than /12, which kube-apiserver refuses."),
        ("network: {pods: 10.0.0.0/16}", "c.yml:5:10  m1: address 10.0.0.11 lies inside network.pods 10.0.0.0/16. Move network.pods to a range"),
        ("network: {services: 10.0.0.0/24}", "c.yml:7:10  w1: address 10.0.0.21 lies inside network.services 10.0.0.0/24."),
        ("endpoint: {kind: external, address: 10.244.0.5}", "c.yml:8:28  endpoint: address 10.244.0.5 lies inside network.pods 10.244.0.0/16."),
        (
            "network: {pods: 10.244.0.0/24}",
            "c.yml:8:11  network: pods 10.244.0.0/24 has room for 1 host ranges of /24, and there are 2 hosts. Make pods larger",
        ),
        ("network: {pods: 10.244.0.0/25}", "c.yml:8:11  network: pods 10.244.0.0/25 has room for 0 host ranges of /24, and there are 2 hosts."),
        (
            "network: {host_prefix: 26}",
            "c.yml:8:11  network: host_prefix 26 gives 61 pod addresses per host, but kubelet.max_pods is 110 on m1, w1. Shorten host_prefix",
        ),
        ("kubelet: {max_pods: 300}", "c.yml:8:11  network: host_prefix 24 gives 253 pod addresses per host, but kubelet.max_pods is 300 on m1, w1."),
    ],
)
def test_refused(line: str, expected: str, good: str, lines_of: Lines) -> None:
    found = lines_of(f"{good}{line}\n")
    assert any(each.startswith(expected) for each in found), found
    assert not any("warning" in each for each in found)


@pytest.mark.parametrize(
    "line",
    [
        "endpoint: {kind: external, address: lb.example.org}",
        "node_failure: {grace_s: 16}",
        "network: {services: 10.96.0.0/28}",
        "network: {pods: 10.244.0.0/23}",
        "network: {host_prefix: 26}\nkubelet: {max_pods: 61}",
        "artifacts: {source: mirror, mirror: ../mirror}",
        "etcd: {heartbeat_ms: 300, election_ms: 3000}",
        "groups: {g: {hosts: []}}",
    ],
)
def test_accepted(line: str, good: str, lines_of: Lines) -> None:
    assert lines_of(f"{good}{line}\n") == []


def test_ipvs_is_a_warning(good: str, lines_of: Lines) -> None:
    assert lines_of(f"{good}proxy: {{mode: ipvs}}\n") == ["c.yml:8:9  warning: proxy: mode ipvs is deprecated by Kubernetes. Use nftables."]
