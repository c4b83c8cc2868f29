"""What other installers left: told one by one, and nothing is removed that was not told."""

from __future__ import annotations

import re
import shlex

import pytest

from kbootstrap.catalog import hosts, installers, paths
from kbootstrap.plan import foreign, survey
from kbootstrap.plan.foreign import Kind, Remain
from kbootstrap.testing.builders import a_cluster

ANSWER = """\
k3s\tunit\tk3s.service
k3s\tfile\t/usr/local/bin/k3s
k3s\tfile\t/var/lib/rancher/k3s
k3s\tfile\t/var/lib/rancher/k3s/agent with blank
kubeadm\tpackage\tkubelet (/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf)
kubeadm\tfile\t/var/lib/kubelet/kubeadm-flags.env
kubeadm\tfile\t/var/lib/kubelet
k3s\tfile\t/var/lib/kubelet
any of them\tmount\t/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/t'oken
any of them\tinterface\tcni0
any of them\trules\tchains ip nat KUBE- 3
MicroK8s\tlisted\t/snap/microk8s
said by a shell
"""


def test_each_thing_once_and_nothing_inside_of_a_folder_that_goes() -> None:
    found = foreign.parse(ANSWER)
    assert [remain.what for remain in found if remain.kind is Kind.FILE] == ["/usr/local/bin/k3s", "/var/lib/rancher/k3s", "/var/lib/kubelet"]
    assert {remain.what for remain in found if remain not in foreign.removable(found)} == {
        "/snap/microk8s",
        "kubelet (/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf)",
    }
    assert found[0] == Remain(of="k3s", kind=Kind.UNIT, what="k3s.service")


def test_every_thing_is_shown_by_its_name_with_the_way_out_of_what_stays() -> None:
    found = foreign.parse(ANSWER)
    lines = list(foreign.describe(found))
    assert lines[0] == "left by k3s, kubeadm, MicroK8s:"
    assert {f"    {remain.what}" for remain in found} <= set(lines)
    assert lines[-2] == "  MicroK8s goes by its own way alone; run there: snap remove --purge microk8s"


def test_only_what_was_told_is_removed_and_packages_stay() -> None:
    found = foreign.parse(ANSWER)
    changes = {change.key: change.commands for change in foreign.removal("w1", found)}
    steps = ["units", "processes", "mounts", "interfaces", "rules", "files", "systemd"]
    assert list(changes) == [f"foreign/{name}" for name in steps], "MicroK8s stays, and its pods with it"
    alone = [change.key for change in foreign.removal("w1", [remain for remain in found if remain.kind is not Kind.LISTED])]
    assert alone == [f"foreign/{name}" for name in (*steps[:2], "cgroups", *steps[2:])]
    words = shlex.split(changes["foreign/files"])
    assert [word for word in words if word.startswith("/")] == ["/usr/local/bin/k3s", "/var/lib/rancher/k3s", "/var/lib/kubelet"]
    assert shlex.split(changes["foreign/mounts"].splitlines()[0])[2:] == ["/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/t'oken"]
    everything = "".join(changes.values())
    assert not re.search(r"flush ruleset|iptables-restore(?! --noflush)|-F\b|networking|NetworkManager|systemd-networkd|microk8s", everything)


@pytest.mark.parametrize("text", [foreign.look(), *(c.commands for c in foreign.removal("w1", foreign.parse(ANSWER)))])
def test_no_blank_is_left_unfilled(text: str) -> None:
    assert not re.findall(r"@[a-z]+@", text)


def test_the_preflight_knows_the_same_installers_and_no_sign_is_a_path_of_ours() -> None:
    assert hosts.REMAINS.keys() == {each.name for each in installers.INSTALLERS if not each.unnamed}
    spec = a_cluster(1, 1)
    asked = survey.probe(spec, spec.hosts[0], thorough=True)
    assert f"/^({'|'.join(installers.CHAINS)})/" in asked
    assert installers.CNI_CHAIN not in asked, "podman and nerdctl have such chains as well"
    patterns = [p for each in installers.INSTALLERS for p in (*each.signs, *each.files)] + list(installers.SHARED)
    assert all(pattern.startswith("/") and not set(pattern) & set(" '\"$;&|") for pattern in patterns)
    ours = {"/etc/kubernetes/admin.conf", "/var/lib/kubelet", "/usr/local/bin/kubelet", "/etc/etcd", "/etc/kubernetes/pki/ca.crt", "/usr/local/bin"}
    assert not ours & {sign for each in installers.INSTALLERS for sign in each.signs if not each.unnamed}
    roles = {paths.STATE, paths.BLOBS, paths.HASHES, paths.ROLE_BEFORE, paths.ROLE_LEDGERS}
    everything = {pattern for each in installers.INSTALLERS for pattern in (*each.signs, *each.files)}
    assert not roles & {sign for each in installers.INSTALLERS for sign in each.signs}, "a role that is applied by itself makes no installer"
    assert not {paths.ROLE_BEFORE, paths.ROLE_LEDGERS} & everything
