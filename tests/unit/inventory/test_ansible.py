"""Inventories from Ansible's: what is simple is read, the rest is refused with its line."""

from __future__ import annotations

import pytest

from kbootstrap.errors import InventoryError
from kbootstrap.inventory import check
from kbootstrap.inventory.ansible import from_ansible

INI = """\
[all:vars]
ansible_user=kb

# first the masters
[masters]
m1 ansible_host=10.0.0.11 ansible_port=2222
m2 ansible_host=203.0.113.2 ip=10.0.0.12
m3 ansible_host=10.0.0.13 ansible_ssh_private_key_file="~/my keys/m3"

[workers]
w1 ansible_host=10.0.0.21
m1
"""

YAML = """\
all:
  vars: {ansible_user: kb}
  hosts:
    n1: {ansible_host: 10.0.0.11}
    n2: {ansible_host: 203.0.113.2, ip: 10.0.0.12}
  children:
    kube_control_plane: {hosts: {n1: }}
    kube_node: {hosts: {n2: , n1: }}
    k8s_cluster: {children: {kube_control_plane: , kube_node: }}
"""


def test_ini() -> None:
    spec, findings = check(from_ansible(INI, "hosts.ini", "lab"), "c.yml")
    assert spec is not None, list(map(str, findings))
    assert [(host.name, str(host.address), host.ssh.host, host.ssh.port) for host in spec.hosts] == [
        ("m1", "10.0.0.11", "10.0.0.11", 2222),
        ("m2", "10.0.0.12", "203.0.113.2", 22),
        ("m3", "10.0.0.13", "10.0.0.13", 22),
        ("w1", "10.0.0.21", "10.0.0.21", 22),
    ]
    assert [host.name for host in spec.workers] == ["m1", "w1"]
    assert {(host.ssh.user, host.ssh.sudo.needed) for host in spec.hosts} == {("kb", True)}
    assert str(spec.host("m3").ssh.key).endswith("/my keys/m3")


def test_yaml_with_kubesprays_groups() -> None:
    spec, findings = check(from_ansible(YAML, "hosts.yml", "lab"), "c.yml")
    assert spec is not None, list(map(str, findings))
    assert [host.name for host in spec.masters] == ["n1"]
    assert {host.name: str(host.address) for host in spec.workers} == {"n1": "10.0.0.11", "n2": "10.0.0.12"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[web]\na\n", "h: no group of masters"),
        ("[masters]\nm[1:3]\n", "h:2:1  'm[1:3]': ranges and patterns are not read"),
        ("[masters]\nm1 ansible_host={{x}}\n", "h: m1: templates are not read (ansible_host)"),
        ("[masters]\nm1 ansible_port=x\n", "h: m1: ansible_port 'x' is no number"),
        ("[masters]\nm1 a='b\n", "h:2:1  No closing quotation"),
        ("[masters:children]\nweb\n", "h:2:1  groups of groups are not read for masters"),
        ("[masters]\nm1\n[masters:vars]\nansible_user=x\n", "h:4:1  ansible_user of the group masters: only those of hosts and of all are read"),
        ("[masters]\nm1 ansible_user=a\nm2 ansible_user=b\n", "h: hosts have different users: a, b"),
        ("all: [a]\n", "h: expected `all:` with hosts and children"),
        ("all: {hosts: {a: 1, a: 2}}\n", "h cannot be read"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(InventoryError) as caught:
        from_ansible(text, "h", "lab")
    assert message in str(caught.value)
