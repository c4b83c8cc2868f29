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
PREVIOUS: Final = f"{STATE}/previous"  # what the last change of the Kubernetes version replaced; until the next one begins
LEDGER: Final = "/etc/kbootstrap/host.json"
ROLE_LEDGERS: Final = "/etc/kbootstrap-roles"  # of roles that no cluster has (role.apply); cluster.down leaves them alone
ROLE_BEFORE: Final = "/var/lib/kbootstrap-roles"  # 0700 root: what such roles replaced; not below STATE, which goes with the cluster
FIREWALL_SCRIPT: Final = "/etc/kbootstrap/firewall.sh"  # beside the ledger: written before any other file of ours
RUN: Final = "/run/kbootstrap"  # what each unit was started with, the lock
ETCD_INITIAL: Final = f"{RUN}/etcd-initial.env"  # the order to begin a cluster or to join one; a member without data starts with none else

KUBERNETES: Final = "/etc/kubernetes"
PKI: Final = f"{KUBERNETES}/pki"
CA: Final = f"{PKI}/ca.crt"
ETCD_PKI: Final = "/etc/etcd/pki"
ETCD_DATA: Final = "/var/lib/etcd"
ETCD_WAL: Final = f"{ETCD_DATA}/member/wal"  # etcd makes it by a rename: where it is, there is a member's data
ETCD_JOINED: Final = f"{STATE}/etcd-joined"  # a member of this host has been ready once, so there was a cluster
ETCD_LEARNER: Final = f"{STATE}/etcd-learner"  # a member of this host is being added
KUBELET_CONFIG: Final = "/var/lib/kubelet/config.yaml"
PROXY_CONFIG: Final = "/var/lib/kube-proxy/config.yaml"
ADMIN_CONF: Final = f"{KUBERNETES}/admin.conf"
AUDIT_LOG: Final = "/var/log/kubernetes/audit.log"
CONTAINERD_DATA: Final = "/var/lib/containerd"
CONTAINERD_SOCKET: Final = "/run/containerd/containerd.sock"

ETCD_CA: Final = f"{ETCD_PKI}/ca.crt"
FRONT_PROXY_CA: Final = f"{PKI}/front-proxy-ca.crt"
SA_KEY: Final = f"{PKI}/sa.key"
SA_PUB: Final = f"{PKI}/sa.pub"
HEALTH_PEM: Final = f"{PKI}/endpoint-health.pem"
ENCRYPTION_CONFIG: Final = f"{KUBERNETES}/encryption.yaml"
ADMISSION_CONFIG: Final = f"{KUBERNETES}/admission.yaml"
AUDIT_POLICY: Final = f"{KUBERNETES}/audit-policy.yaml"
ENDPOINT_CONFIG: Final = f"{KUBERNETES}/endpoint.cfg"
ENDPOINT_RUN: Final = "/run/kb-endpoint"  # what the proxy, which is not root, may read of the certificates
CONTAINERD_CONFIG: Final = "/etc/containerd/config.toml"
CNI_CONFIG: Final = "/etc/cni/net.d/10-kbootstrap.conflist"
NETWORK_SCRIPT: Final = f"{KUBERNETES}/pod-network.sh"


def unit(name: str) -> str:
    """The path of the systemd unit *name* (``etcd.service``)."""
    return f"{UNITS}/{name}"


def certificate(name: str) -> str:
    """The path of a certificate of the cluster PKI (``apiserver``); etcd's own lie in ``ETCD_PKI``."""
    return f"{PKI}/{name}.crt"


def key(name: str) -> str:
    """The path of the key that belongs to ``certificate(name)``."""
    return f"{PKI}/{name}.key"


def started(unit_name: str) -> str:
    """The record of what the unit was started with, written by its own ``ExecStartPre=``."""
    return f"{RUN}/{unit_name}.started"


def role_ledger(role: str) -> str:
    """The ledger of a role that is applied by itself."""
    return f"{ROLE_LEDGERS}/{role}.json"


def modules_load(role: str) -> str:
    """The file that loads a role's kernel modules at boot."""
    return f"/etc/modules-load.d/kbootstrap-{role}.conf"


def sysctl_d(role: str) -> str:
    """The file that sets a role's kernel settings at boot; late in the order, so that the distribution's own do not win."""
    return f"/etc/sysctl.d/90-kbootstrap-{role}.conf"


def kubeconfig(component: str) -> str:
    """The path of a component's kubeconfig: admin, controller-manager, scheduler, kubelet, kube-proxy."""
    return f"{KUBERNETES}/{component}.conf"
