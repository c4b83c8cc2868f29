"""Other installers of Kubernetes: by what they are known, and what exactly is theirs on a host. The preflight refuses them by the first, and
``cluster.down --foreign`` removes the second. To add one: a row; its signs must be paths that no role of ours writes.

Patterns are the shell's and hold no blanks. What a package brought is never removed: its own manager knows how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """*files* are its own beside its *signs*; *units* those that it starts; *away* is its own way out.

    *listed*: nothing of it is removed here. Where it is, nothing is that bears no installer's name (interfaces, rules, pods): it may be its own.

    *unnamed*: whoever it was; its signs are ours too, so it is looked for only where no ledger of ours lies, and no other installer was found.
    """

    name: str
    signs: tuple[str, ...]
    units: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    away: str
    listed: bool = False
    unnamed: bool = False


_SYSTEM: Final = "/etc/systemd/system"
_KUBELET: Final = (
    f"{_SYSTEM}/kubelet.service", f"{_SYSTEM}/kubelet.service.d", "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "/var/lib/kubelet",
)  # fmt: skip

_BY_HAND: Final = (
    "kube-apiserver.service", "kube-controller-manager.service", "kube-scheduler.service", "kube-proxy.service", "kb-endpoint.service",
    "kb-routes.service", "kb-vxlan.service", "kb-firewall.service",
)  # fmt: skip

INSTALLERS: Final = (
    Installer(
        name="kubeadm",
        signs=("/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/manifests/etcd.yaml", "/var/lib/kubelet/kubeadm-flags.env"),
        units=("kubelet.service",),
        files=(
            "/etc/kubernetes/manifests", "/etc/kubernetes/pki", "/etc/kubernetes/*.conf", "/etc/kubernetes/tmp", *_KUBELET, "/var/lib/etcd/member",
        ),
        away="kubeadm reset",
    ),
    Installer(
        name="kubespray",
        signs=("/etc/etcd.env", "/etc/kubernetes/kubelet.env", "/etc/kubernetes/kubeadm-config.yaml", "/usr/local/bin/kubernetes-scripts"),
        units=("kubelet.service", "etcd.service", "k8s-certs-renew.timer", "k8s-certs-renew.service"),
        files=(
            "/etc/kubernetes", *_KUBELET, f"{_SYSTEM}/etcd.service", f"{_SYSTEM}/k8s-certs-renew.*", "/etc/ssl/etcd", "/var/lib/etcd/member",
            "/usr/local/bin/etcd-scripts", "/usr/local/bin/k8s-certs-renew.sh", "/etc/calico", "/usr/local/bin/calicoctl*",
        ),
        away="its playbook reset.yml",
    ),
    Installer(
        name="k3s",
        signs=("/usr/local/bin/k3s", "/etc/rancher/k3s", "/var/lib/rancher/k3s"),
        units=("k3s.service", "k3s-agent.service"),
        files=(
            f"{_SYSTEM}/k3s.service*", f"{_SYSTEM}/k3s-agent.service*", "/usr/local/bin/k3s-*.sh", "/etc/rancher/node", "/run/k3s",
            "/var/lib/kubelet",
        ),
        away="k3s-uninstall.sh",
    ),
    Installer(
        name="RKE2",
        signs=("/usr/local/bin/rke2", "/opt/rke2", "/etc/rancher/rke2", "/var/lib/rancher/rke2"),
        units=("rke2-server.service", "rke2-agent.service"),
        files=(
            "/usr/local/lib/systemd/system/rke2-*", f"{_SYSTEM}/rke2-*", "/usr/local/bin/rke2-*.sh", "/usr/local/share/rke2", "/etc/rancher/node",
            "/run/k3s", "/var/lib/kubelet",
        ),
        away="rke2-uninstall.sh",
    ),
    Installer(
        name="k0s",
        signs=("/usr/local/bin/k0s", "/etc/k0s", "/var/lib/k0s"),
        units=("k0scontroller.service", "k0sworker.service"),
        files=(f"{_SYSTEM}/k0scontroller.service*", f"{_SYSTEM}/k0sworker.service*", "/run/k0s", "/var/lib/kubelet"),
        away="k0s stop; k0s reset",
    ),
    Installer(name="minikube", signs=("/var/lib/minikube",), units=("kubelet.service",), files=_KUBELET, away="minikube delete"),
    Installer(
        name="MicroK8s",
        signs=("/snap/microk8s", "/var/snap/microk8s"),
        away="snap remove --purge microk8s",
        listed=True,
    ),
    Installer(
        name="hands, or a tool that is not known",
        signs=("/etc/kubernetes/pki/ca.crt", "/var/lib/kubernetes", "/var/lib/kbootstrap/etcd-joined", "/var/lib/kube-proxy"),
        units=(*_BY_HAND, "kubelet.service", "etcd.service"),
        files=(
            "/etc/kubernetes/pki", "/etc/kubernetes/*.conf", "/etc/kubernetes/*.yaml", "/etc/etcd/pki", "/etc/kbootstrap", *_KUBELET,
            *(f"{_SYSTEM}/{unit}" for unit in (*_BY_HAND, "etcd.service")), "/var/lib/etcd/member", "/etc/cni/net.d/10-kbootstrap.conflist",
            "/var/lib/kbootstrap",  # no sign: roles that are applied by themselves use it, too
        ),
        away="",
        unnamed=True,
    ),
)  # fmt: skip
BY_NAME: Final = {installer.name: installer for installer in INSTALLERS}

COMMANDS: Final = ("kubectl", "crictl", "ctr")
"""What k3s links to itself below /usr/local/bin, where nothing is called so."""

SHARED_UNITS: Final = ("kubelet.service", "etcd.service")
"""Their names alone tell nothing."""

ANY: Final = "any of them"
SHARED: Final = (
    "/var/lib/cni", "/run/flannel", "/run/calico", "/var/lib/calico", "/var/log/pods", "/var/log/containers",
    "/etc/cni/net.d/10-flannel.conflist", "/etc/cni/net.d/10-calico.conflist", "/etc/cni/net.d/calico-kubeconfig",
    "/etc/cni/net.d/05-cilium.conflist*", "/etc/cni/net.d/10-weave.conflist", "/etc/cni/net.d/10-kindnet.conflist", "/etc/cni/net.d/00-multus.*",
)  # fmt: skip
"""What kubelets and network plugins leave, whoever installed them: looked for only where an installer was found."""

LINKS: Final = (
    "cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0", "kube-bridge", "nodelocaldns", "weave", "vxlan.calico",
    "cilium_host", "cilium_net", "cilium_vxlan", "cali[0-9a-f]*", "kb0", "kb-vxlan",
)  # fmt: skip
CHAINS: Final = ("KUBE-", "cali-", "cilium", "CILIUM", "FLANNEL-", "WEAVE-")
"""How the packet rules' chains of kube-proxy, kubelet and network plugins begin."""
TABLES: Final = ("kube-proxy", "flannel-ipv4", "flannel-ipv6", "kbootstrap")
CNI_CHAIN: Final = "CNI-"
CNI_TABLE: Final = "cni_hostport"
"""Of the common network plugins, which make port forwards for podman and nerdctl as well: looked for only where an installer was found."""
PODS: Final = "k8s.io"  # the namespace of a containerd in which kubelets keep their pods
