"""Where everything lies on a host: one table, in the places that auditors of the CIS benchmark look."""

from __future__ import annotations

from typing import Final

BIN: Final = "/usr/local/bin"
CNI_BIN: Final = "/opt/cni/bin"
UNITS: Final = "/etc/systemd/system"

STATE: Final = "/var/lib/kbootstrap"  # 0700 root: blobs (content-addressed store), hash records, previous contents
BLOBS: Final = f"{STATE}/blobs"
HASHES: Final = f"{STATE}/hashes"
BEFORE: Final = f"{STATE}/before"
LEDGER: Final = "/etc/kbootstrap/host.json"
RUN: Final = "/run/kbootstrap"  # what each unit was started with, the lock

KUBERNETES: Final = "/etc/kubernetes"
PKI: Final = f"{KUBERNETES}/pki"
CA: Final = f"{PKI}/ca.crt"
ETCD_PKI: Final = "/etc/etcd/pki"
ETCD_DATA: Final = "/var/lib/etcd"
KUBELET_CONFIG: Final = "/var/lib/kubelet/config.yaml"
PROXY_CONFIG: Final = "/var/lib/kube-proxy/config.yaml"
ADMIN_CONF: Final = f"{KUBERNETES}/admin.conf"
AUDIT_LOG: Final = "/var/log/kubernetes/audit.log"
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"


def unit(name: str) -> str:
    """The path of the systemd unit *name* (``etcd.service``)."""
    return f"{UNITS}/{name}"


def kubeconfig(component: str) -> str:
    """The path of a component's kubeconfig: admin, controller-manager, scheduler, kubelet, kube-proxy."""
    return f"{KUBERNETES}/{component}.conf"
