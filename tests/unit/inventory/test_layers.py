"""Precedence, and where each value comes from."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.inventory import check, examine, explain
from kbootstrap.inventory.layers import merge
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Kubelet, Role, Taint, TaintEffect

TEXT = """\
cluster: lab
kubernetes: "1.36.3"
kubelet: {max_pods: 50, config: {a: 1, deep: {x: 1, y: 1}}}
labels: {where: all, zone: one}
taints: ["all:NoSchedule"]
extra_args: {kubelet: {v: "1", all: "1"}}
groups:
  late: {hosts: [w1], labels: {group: late}, kubelet: {max_pods: 60, config: {deep: {y: 2}}}}
  later: {hosts: [w1], labels: {group: later}, kubelet: {config: {deep: {z: 3}}}}
  other: {hosts: [m1], labels: {group: other}}
hosts:
  masters:
    m1: {address: 10.0.0.11}
  workers:
    w1:
      address: 10.0.0.21
      labels: {where: host}
      taints: ["own=x:NoExecute"]
      extra_args: {kubelet: {v: "4"}}
    m1: {}
"""


def spec_of(text: str) -> ClusterSpec:
    spec, findings = check(text, "c.yml")
    assert spec is not None, list(map(str, findings))
    return spec


def test_default_cluster_group_host() -> None:
    spec = spec_of(TEXT)
    m1, w1 = spec.host("m1"), spec.host("w1")
    assert w1.kubelet.max_pods == 60
    assert m1.kubelet.max_pods == 50
    assert w1.kubelet.cgroup_driver == Kubelet().cgroup_driver
    assert w1.labels == {"where": "host", "zone": "one", "group": "later"}
    assert m1.labels == {"where": "all", "zone": "one", "group": "other"}


def test_mappings_merge_deeply_and_lists_replace() -> None:
    w1 = spec_of(TEXT).host("w1")
    assert w1.kubelet.config == {"a": 1, "deep": {"x": 1, "y": 2, "z": 3}}
    assert w1.extra_args == {"kubelet": {"v": "4", "all": "1"}}
    assert w1.taints == (Taint(key="own", value="x", effect=TaintEffect.NO_EXECUTE),)


def test_an_empty_list_takes_back_what_is_wider() -> None:
    assert spec_of(TEXT.replace('taints: ["own=x:NoExecute"]', "taints: []")).host("w1").taints == ()


def test_roles_and_order() -> None:
    spec = spec_of(TEXT)
    assert [host.name for host in spec.hosts] == ["m1", "w1"]
    assert spec.host("m1").roles == {Role.MASTER, Role.WORKER}
    assert spec.workers == spec.hosts


def test_where_each_value_comes_from() -> None:
    draft, _ = examine(TEXT, "c.yml")
    assert draft is not None
    rows = {row.name: (row.value, row.source, row.where) for row in explain(draft, "w1")}
    assert rows["address"] == (draft.spec.host("w1").address, "host", "c.yml:16:7")
    assert rows["kubelet.max_pods"] == (60, "group late", "c.yml:8:56")
    assert rows["kubelet.cgroup_driver"] == ("systemd", "default", "")
    assert rows["kubelet.config.deep.x"] == (1, "cluster", "c.yml:3:47")
    assert rows["kubelet.config.deep.y"] == (2, "group late", "c.yml:8:86")
    assert rows["labels.group"] == ("later", "group later", "c.yml:9:33")
    assert rows["labels.where"] == ("host", "host", "c.yml:17:16")
    assert rows["ssh.host"] == ("10.0.0.21", "default", "")


def test_cluster_wide_settings_are_explained_too() -> None:
    draft, _ = examine(TEXT, "c.yml")
    assert draft is not None
    rows = {row.name: (str(row.value), row.source, row.where) for row in explain(draft)}
    assert rows["cluster"] == ("lab", "cluster", "c.yml:1:1")
    assert rows["network.pods"] == ("10.244.0.0/16", "default", "")


def test_paths_start_at_the_folder_and_home_expands() -> None:
    text = TEXT + "ssh: {key: ssh/id, sudo: {password_file: /a/b}, bastion: {host: b, key: ~/k}}\nartifacts: {mirror: ../mirror}\n"
    spec, _ = check(text, "c.yml", folder=Path("/inv/lab"))
    assert spec is not None
    ssh = spec.host("m1").ssh
    assert ssh.key == Path("/inv/lab/ssh/id")
    assert ssh.sudo.password_file == Path("/a/b")
    assert ssh.bastion is not None
    assert ssh.bastion.key == Path.home() / "k"
    assert spec.artifacts.mirror == "/inv/lab/../mirror"


def test_a_password_file_means_that_sudo_asks() -> None:
    sudo = spec_of(TEXT + "ssh: {user: kb, sudo: {password_file: p}}\n").host("m1").ssh.sudo
    assert (sudo.needed, sudo.password) == (True, True)


def test_the_bastion_takes_the_hosts_user_unless_it_has_its_own() -> None:
    for extra, user in (("", "kb"), (", user: jump", "jump")):
        bastion = spec_of(TEXT + f"ssh: {{user: kb, bastion: {{host: b{extra}}}}}\n").host("m1").ssh.bastion
        assert bastion is not None
        assert bastion.user == user


def test_a_bastion_may_be_put_together_from_two_layers() -> None:
    text = TEXT.replace("m1: {address: 10.0.0.11}", "m1: {address: 10.0.0.11, ssh: {bastion: {host: b}}}") + "ssh: {bastion: {port: 2222}}\n"
    _, findings = check(text, "c.yml")
    assert [str(finding) for finding in findings] == ["c.yml:21:7  bastion: the host is missing. Write `bastion: {host: …}`."]  # w1's has none


def test_an_external_endpoint_has_the_api_port() -> None:
    endpoint = spec_of(TEXT + "endpoint: {kind: external, address: lb.example.org}\n").endpoint
    assert (endpoint.address, endpoint.port) == ("lb.example.org", 6443)


trees = st.recursive(
    st.integers(), lambda inner: st.one_of(st.dictionaries(st.sampled_from("abc"), inner, max_size=3), st.lists(inner, max_size=2)), max_leaves=8
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings, mappings)
def test_merging_is_associative_and_the_last_leaf_wins(one: dict[str, object], two: dict[str, object], three: dict[str, object]) -> None:
    assert merge([merge([one, two]), three]) == merge([one, two, three])
    assert merge([one, one]) == one
    assert all(merge([one, two])[key] == value for key, value in two.items() if not isinstance(value, dict))
