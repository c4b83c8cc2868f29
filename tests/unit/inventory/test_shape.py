"""Types, unknown keys, hostile values: each refusal's message with its place. Added lines begin at line 8 of the good text."""

# ruff: noqa: E501  one case, one line: the table is what is read

from __future__ import annotations

from collections.abc import Callable

import pytest

from kbootstrap.inventory.shape import show

Lines = Callable[[str], list[str]]

ADDED = {
    # unknown keys, with the nearest known one
    "neworks: {}": "c.yml:8:1  unknown key neworks. Did you mean network?",
    "network: {pod: 10.244.0.0/16}": "c.yml:8:11  unknown key pod. Did you mean pods?",
    "max_pods: 3": "c.yml:8:1  unknown key max_pods. Did you mean kubelet.max_pods?",
    "ssh: {sudo: {pasword: true}}": "c.yml:8:14  unknown key pasword. Did you mean password?",
    "groups: {gpu: {lables: {a: b}}}": "c.yml:8:16  unknown key lables. Did you mean labels?",
    "kubelet: {xyzzy: 1}": "c.yml:8:11  unknown key xyzzy. Known here: max_pods, cgroup_driver, fail_swap_on, allow_cgroup_v1, config.",
    "extra_args: {kube-apisrver: {v: '2'}}": "kube-apisrver is not one of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, "
    "kube-proxy. Did you mean kube-apiserver?",
    "versions: {etdc: 3.6.14}": "c.yml:8:12  etdc: not a component with a version of its own; known: etcd, containerd, runc, cni-plugins, coredns.",
    # wrong types, and the surprises of YAML
    "etcd: {heartbeat_ms: fast}": "c.yml:8:22  heartbeat_ms: expected a whole number, found fast.",
    'etcd: {heartbeat_ms: "300"}': "c.yml:8:22  heartbeat_ms: expected a whole number, found the text 300. Write 300 without quotes.",
    "etcd: {heartbeat_ms: 0300}": "c.yml:8:22  heartbeat_ms: 0300 is an octal number for some YAML readers, expected a whole number. Write 300.",
    "etcd: {heartbeat_ms: 3e2}": "3e2 is a number with an exponent for some YAML readers, expected a whole number.",
    "etcd: {heartbeat_ms: 1.5}": "c.yml:8:22  heartbeat_ms: expected a whole number, found 1.5.",
    "kubelet: {fail_swap_on: no}": "c.yml:8:25  fail_swap_on: no is false for some YAML readers and text for others, expected true or false. Write false.",
    "kubelet: {fail_swap_on: 0}": "c.yml:8:25  fail_swap_on: expected true or false, found 0.",
    'kubelet: {fail_swap_on: "true"}': "c.yml:8:25  fail_swap_on: expected true or false, found the text true. Write true without quotes.",
    "labels: {gpu: true}": 'c.yml:8:15  gpu: expected text, found the truth value true. Write "true".',
    "labels: {gpu: yes}": 'c.yml:8:15  gpu: yes is true for some YAML readers and text for others. Write "yes".',
    "labels: {rack: 012}": 'c.yml:8:16  rack: 012 is an octal number for some YAML readers. Write "012".',
    "labels: {rack: 1.30}": 'c.yml:8:16  rack: 1.30 is the number 1.3 in YAML. Write "1.30".',
    "labels: {rack: 1e3}": 'c.yml:8:16  rack: 1e3 is a number with an exponent for some YAML readers. Write "1e3".',
    "labels: {built: 2024-01-01}": 'c.yml:8:17  built: 2024-01-01 is a date for some YAML readers. Write "2024-01-01".',
    "labels: {rack: }": "c.yml:8:16  rack: expected text, found the empty value nothing.",
    "extra_args: {etcd: {v: 2}}": 'c.yml:8:24  v: expected text, found the number 2. Write "2".',
    "kubelet: {config: {a: [1, on]}}": 'c.yml:8:27  a: on is true for some YAML readers and text for others. Write "on".',
    "proxy: {config: {a: {b: 0777}}}": 'c.yml:8:25  b: 0777 is an octal number for some YAML readers. Write "0777".',
    "labels: [a]": "c.yml:8:9  labels: expected `key: value` lines, found a list.",
    "ssh: root": "c.yml:8:6  ssh: expected `key: value` lines, found root.",
    "taints: a=b:NoSchedule": "c.yml:8:9  taints: expected a list, found a=b:NoSchedule. Write [a=b:NoSchedule].",
    "groups: {gpu: {hosts: {w1: {}}}}": "c.yml:8:23  hosts: expected a list, found a mapping.",
    "network: {pods: [a]}": "c.yml:8:17  pods: expected text, found a list.",
    # choices and limits
    "network: {plugin: route}": "c.yml:8:19  plugin: route is not one of routes, vxlan, none. Did you mean routes?",
    "endpoint: haprox": "c.yml:8:11  endpoint: haprox is not one of haproxy, gateway, external. Did you mean haproxy?",
    "host: {swap: on}": "c.yml:8:14  swap: on is not one of off, leave.",
    "ssh: {port: 70000}": "c.yml:8:13  port: expected at most 65535, found 70000.",
    "ssh: {port: 0}": "c.yml:8:13  port: expected at least 1, found 0.",
    "network: {host_prefix: 8}": "c.yml:8:24  host_prefix: expected at least 16, found 8.",
    # networks, addresses, versions
    "network: {pods: 10.244.1.0/16}": "pods: 10.244.1.0/16: not the first address of its network. Write 10.244.0.0/16.",
    "network: {pods: 10.244.0.0}": "pods: 10.244.0.0: expected a network such as 10.244.0.0/16.",
    "network: {pods: 10.244.0.0/33}": "pods: 10.244.0.0/33: expected a network such as 10.244.0.0/16.",
    "network: {pods: 'fd00::/56'}": "pods: fd00::/56: an IPv6 network; clusters are IPv4 here so far.",
    "versions: {etcd: v3.6.14}": 'c.yml:8:18  etcd: v3.6.14: a version without v. Write "3.6.14".',
    "versions: {etcd: 3.6}": 'c.yml:8:18  etcd: expected text, found the number 3.6. Write "3.6".',
    "versions: {etcd: latest}": 'c.yml:8:18  etcd: latest: expected a full version such as "1.36.3".',
    # hostile text: nothing that a shell, an option parser or a terminal could take apart
    "ssh: {user: 'a;reboot'}": "c.yml:8:13  user: a;reboot: a user's name has up to 32 of",
    "ssh: {user: $(id)}": "c.yml:8:13  user: $(id): a user's name has up to 32 of",
    "ssh: {user: -oProxyCommand=x}": "c.yml:8:13  user: -oProxyCommand=x: a user's name has up to 32 of",
    'ssh: {user: "a\\nb"}': "c.yml:8:13  user: a\\nb: a user's name has up to 32 of",
    "ssh: {user: аdmin}": "c.yml:8:13  user: аdmin: a user's name has up to 32 of",  # a Cyrillic letter that looks like a
    "ssh: {host: -oProxyCommand=x}": "c.yml:8:13  host: -oProxyCommand=x: expected a hostname or an address.",
    "ssh: {host: 'a b'}": "c.yml:8:13  host: a b: expected a hostname or an address.",
    "ssh: {key: -x}": "c.yml:8:12  key: -x: a path has letters, digits, spaces",
    "ssh: {key: 'a;b'}": "c.yml:8:12  key: a;b: a path has letters, digits, spaces",
    'ssh: {key: "a\\nb"}': "c.yml:8:12  key: a\\nb: a path has letters, digits, spaces",
    "ssh: {bastion: {host: 'a`b`'}}": "c.yml:8:23  host: a`b`: expected a hostname or an address.",
    "labels: {'a b': c}": "c.yml:8:10  a b: a label's name has up to 63",
    "labels: {Bad_Domain/x: c}": "c.yml:8:10  Bad_Domain/x: the part before / is a DNS domain such as example.org.",
    "labels: {a: $(b)}": "c.yml:8:13  a: $(b): a label's value has up to 63",
    "taints: ['a=b']": "c.yml:8:10  taints: a=b: a taint is key=value:effect, the effect one of NoSchedule, PreferNoSchedule, NoExecute.",
    "taints: ['a=b:Never']": "c.yml:8:10  taints: a=b:Never: a taint is key=value:effect",
    "taints: ['a b=c:NoSchedule']": "c.yml:8:10  taints: a b=c:NoSchedule: a label's name has up to 63",
    "extra_args: {etcd: {--log-level: debug}}": "c.yml:8:21  --log-level: a flag without dashes. Write log-level.",
    "extra_args: {etcd: {'a b': c}}": "c.yml:8:21  a b: a flag's name has a-z, 0-9 and -, and starts with a letter.",
    'extra_args: {etcd: {a: "b\\nc"}}': "c.yml:8:24  a: b\\nc: a flag's value is one line of printable characters.",
    "groups: {'a b': {hosts: [w1]}}": "c.yml:8:10  a b: a name has up to 63",
    "certificates: {extra_sans: ['a b']}": "c.yml:8:29  extra_sans: a b: expected a DNS name or an address.",
    "artifacts: {mirror: 'ftp://x/'}": "c.yml:8:21  mirror: ftp://x/: expected a directory or an http(s) URL.",
    "artifacts: {mirror: 'https://u:secret@x/'}": "a URL with a user or password in it; the inventory holds no secrets.",
    "network: {domain: Cluster.Local}": "c.yml:8:19  domain: Cluster.Local: a DNS domain has labels of a-z, 0-9 and - joined by dots.",
}

HOST_NAMES = {
    "M1": "M1: a hostname is lower case. Write m1.",
    "m_1": "m_1: a hostname has no underscore. Write m-1.",
    "m1;reboot": "m1;reboot: a hostname has a-z, 0-9, - and dots, starts and ends with a letter or digit (RFC 1123), and is no address.",
    "-m1": "-m1: a hostname has a-z",
    "m1-": "m1-: a hostname has a-z",
    "../etc": "../etc: a hostname has a-z",
    "mаster": "mаster: a hostname has a-z",  # a Cyrillic letter that looks like a
    "10.0.0.11": "10.0.0.11: a hostname has a-z",
    "localhost": "localhost: a hostname has a-z",
    "m" * 64: "a hostname has at most 63 characters, this one 64.",
    "a..b": "a..b: a hostname has a-z",
}

ADDRESSES = {
    "m1.example.org": "address: m1.example.org: expected an IPv4 address such as 10.0.0.11.",
    "10.0.0.256": "address: 10.0.0.256: expected an IPv4 address such as 10.0.0.11.",
    "10.0.0.011": "address: 10.0.0.011: expected an IPv4 address such as 10.0.0.11.",
    "'fd00::1'": "address: fd00::1: an IPv6 address; clusters are IPv4 here so far.",
    "127.0.0.1": "address: 127.0.0.1: not an address that other hosts can reach.",
    "0.0.0.0": "address: 0.0.0.0: not an address that other hosts can reach.",  # noqa: S104  refused, not bound
    "224.0.0.1": "address: 224.0.0.1: not an address that other hosts can reach.",
    "10.0": "address: expected text, found the number 10.0.",
}


@pytest.mark.parametrize("line", ADDED)
def test_refused_at_its_place(line: str, good: str, lines_of: Lines) -> None:
    found = lines_of(f"{good}{line}\n")
    assert any(ADDED[line] in each for each in found), found
    assert all(each.startswith("c.yml:8:") for each in found), found


@pytest.mark.parametrize("name", HOST_NAMES)
def test_host_name_refused(name: str, good: str, lines_of: Lines) -> None:
    found = lines_of(good.replace("    m1:", f"    {name}:"))
    assert any(each.startswith("c.yml:5:5  ") and HOST_NAMES[name] in each for each in found), found


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_refused(address: str, good: str, lines_of: Lines) -> None:
    assert lines_of(good.replace("10.0.0.11", address))[0].startswith(f"c.yml:5:19  {ADDRESSES[address]}")


@pytest.mark.parametrize("name", ["Lab", "a b", "../x", "-x", "x" * 64, "a.b", "$(x)"])
def test_cluster_name_refused(name: str, good: str, lines_of: Lines) -> None:
    found = lines_of(good.replace("cluster: lab", f"cluster: {name}"))
    assert found == [f"c.yml:1:10  cluster: {show(name)}: a name has up to 63 of a-z, 0-9 and -, and starts and ends with a letter or digit."]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.30", 'c.yml:2:13  kubernetes: 1.30 is the number 1.3 in YAML. Write "1.30".'),
        ("1.36", 'c.yml:2:13  kubernetes: expected text, found the number 1.36. Write "1.36".'),
        ('"1.36"', 'c.yml:2:13  kubernetes: 1.36: expected a full version such as "1.36.3".'),
        ("v1.36.3", 'c.yml:2:13  kubernetes: v1.36.3: a version without v. Write "1.36.3".'),
        ('"1.99.0"', 'c.yml:2:1  kubernetes: 1.99.0 is not of a minor that is installed here (1.34, 1.35, 1.36). Write "1.36.3".'),
    ],
)
def test_kubernetes_version_refused(version: str, expected: str, good: str, lines_of: Lines) -> None:
    assert lines_of(good.replace('"1.36.3"', version)) == [expected]


def test_a_password_in_the_wrong_place_is_not_repeated(good: str, lines_of: Lines) -> None:
    found = lines_of(f"{good}ssh: {{sudo: {{password: hunter2}}}}\n")
    assert found == ["c.yml:8:24  password: expected true or false, found (not shown)."]


@pytest.mark.parametrize(
    "line", ["host: {swap: off}", "ssh:", "groups:", "labels: {}", "kubelet: {config: {a: 1, b: 0.5, c: null, d: [x]}}", "taints: []"]
)
def test_accepted(line: str, good: str, lines_of: Lines) -> None:
    assert lines_of(f"{good}{line}\n") == []


def test_all_problems_are_shown_at_once_in_the_order_of_the_text(lines_of: Lines) -> None:
    found = lines_of(
        "cluster: Lab\nkubernetes: 1.36\nhosts:\n  masters:\n    m1: {address: 10.0.0.1}\n    m2: {adress: 10.0.0.2}\n    m3: []\n    m4: {address: 10.0.0.1}\n"
    )
    assert [line.split("  ")[0] for line in found] == [
        "c.yml:1:10",
        "c.yml:2:13",
        "c.yml:3:1",
        "c.yml:4:3",
        "c.yml:6:5",
        "c.yml:6:10",
        "c.yml:7:9",
        "c.yml:8:10",
    ]


def test_shown_text_is_one_short_line() -> None:
    assert show("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
    assert len(show("x" * 1000)) == 58
