"""The inventory that a lab writes is valid, and says what the machine needs."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kbootstrap.inventory import check
from kbootstrap.lab import folder, value
from kbootstrap.lab.machine import Machine
from kbootstrap.model.cluster import ClusterSpec

LAB = value.shape(
    name="lab", network=IPv4Network("10.77.0.0/24"), masters=3, workers=2, home=Path("/h"), image=Path("/i"), folder=Path("inventory/lab")
)  # fmt: skip
OLD = Machine(systemd=False, cgroup_v1=True, sys_resource=False, swap=True)
NEW = Machine(systemd=True, cgroup_v1=False, sys_resource=True, swap=False)


def spec(machine: Machine, lab: value.Lab = LAB) -> ClusterSpec:
    found, findings = check(folder.cluster_yml(lab, machine), "cluster.yml", folder=lab.folder)
    assert [str(f) for f in findings] == []
    assert found is not None
    return found


@pytest.mark.parametrize("machine", [OLD, NEW])
def test_options_that_hosts_on_one_kernel_need_stand_always(machine: Machine) -> None:
    found = spec(machine)
    assert (found.etcd.heartbeat_ms, found.etcd.election_ms) == (300, 3000)
    for host in found.hosts:
        assert (host.host.swap, host.host.sysctl, host.host.modules) == ("leave", "namespaced", "leave")
        assert host.proxy.conntrack_max_per_core == 0


@pytest.mark.parametrize(("machine", "needed"), [(OLD, True), (NEW, False)])
def test_options_of_an_old_machine_stand_only_there(machine: Machine, needed: bool) -> None:
    for host in spec(machine).hosts:
        assert host.kubelet.allow_cgroup_v1 is needed
        assert host.kubelet.fail_swap_on is not needed
        assert host.runtime.restrict_oom_score_adj is needed


def test_hosts_logins_and_files() -> None:
    found = spec(OLD)
    assert [(h.name, str(h.address), h.is_master, h.ssh.user, h.ssh.sudo.password) for h in found.hosts] == [
        (h.name, str(h.address), h.role == "master", h.login, h.login != "root") for h in LAB.hosts
    ]
    assert found.hosts[0].ssh.key == LAB.folder / "ssh/id_ed25519"
    assert found.hosts[1].ssh.sudo.password_file == LAB.folder / "sudo.pass"


def test_a_lab_of_masters_alone_has_no_empty_section() -> None:
    lab = value.shape(name="lab", network=LAB.network, masters=1, workers=0, home=Path("/h"), image=Path("/i"), folder=LAB.folder)
    assert "workers" not in folder.cluster_yml(lab, NEW)


def test_the_ssh_client_takes_nothing_from_the_users_own_configuration() -> None:
    argv = folder.ssh_argv(LAB, LAB.hosts[1])
    assert argv[:3] == ["ssh", "-F", "none"]
    assert argv[-1] == "kb@10.77.0.12"
    assert {"StrictHostKeyChecking=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={LAB.folder}/known_hosts"} <= set(argv)
