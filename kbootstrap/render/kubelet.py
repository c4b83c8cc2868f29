"""kubelet: a KubeletConfiguration (its flags for these are deprecated), and what a node says of itself when it registers."""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.catalog import names, paths
from kbootstrap.catalog.ports import KUBELET, KUBELET_HEALTH
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host, Taint, TaintEffect
from kbootstrap.render import flags, tls
from kbootstrap.render.documents import merged

COMPONENT: Final = "kubelet"
RESOLV_CONF: Final = f"{paths.RUN}/resolv.conf"  # written by the unit before each start, from the first of these that pods can use
RESOLVERS: Final = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")

# NodeRestriction: of the kubernetes.io and k8s.io labels, a kubelet may set these on its own node (k8s.io/kubelet/pkg/apis/well_known_labels.go).
_OWN_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OWN_NAMESPACES: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
_GUARDED: Final = ("kubernetes.io", "k8s.io")


def node_taints(host: Host) -> tuple[Taint, ...]:
    """All taints of the node: the inventory's, and the control plane's on a master that is no worker."""
    if host.is_worker:
        return host.taints
    return (Taint(key=names.CONTROL_PLANE_LABEL, value="", effect=TaintEffect.NO_SCHEDULE), *host.taints)


def node_labels(host: Host) -> dict[str, str]:
    """All labels of the node: its roles and the inventory's. The API gets them; the kubelet itself may set only some."""
    roles = {names.CONTROL_PLANE_LABEL: ""} if host.is_master else {}
    return roles | ({names.WORKER_LABEL: ""} if host.is_worker else {}) | dict(host.labels)


def registered_labels(host: Host) -> dict[str, str]:
    """The labels that the kubelet may give its own node when it registers, so that they hold before the first pod is placed."""
    return {key: value for key, value in sorted(host.labels.items()) if _may_set(key)}


def _may_set(label: str) -> bool:
    namespace = label.rpartition("/")[0]
    if label in _OWN_LABELS or _within(namespace, _OWN_NAMESPACES):
        return True
    return not _within(namespace, _GUARDED)


def _within(namespace: str, parents: tuple[str, ...]) -> bool:
    return any(namespace == parent or namespace.endswith(f".{parent}") for parent in parents)


def arguments(spec: ClusterSpec, host: Host) -> tuple[str, ...]:
    """The command line; everything that has a place in the configuration is there."""
    ours: dict[str, object] = {
        "config": paths.KUBELET_CONFIG,
        "kubeconfig": paths.kubeconfig("kubelet"),
        "node-ip": host.address,
    }
    if labels := registered_labels(host):
        ours["node-labels"] = ",".join(f"{key}={value}" for key, value in labels.items())
    if spec.cloud == "external":
        ours["cloud-provider"] = "external"
    return flags.arguments(COMPONENT, ours, host)


def configuration(spec: ClusterSpec, host: Host) -> dict[str, Any]:
    """The KubeletConfiguration, the host's own keys (``kubelet.config``) merged over ours."""
    ours = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    return merged(ours | _serving(host) | _node(spec, host) | _pods(spec, host), host.kubelet.config)


def _serving(host: Host) -> dict[str, Any]:
    """No anonymous, no read-only port, no profiles, not even for operators. Serving certificates are ours, so ``serverTLSBootstrap`` and
    ``rotateCertificates`` stay unset."""
    return {
        "address": str(host.address),
        "port": KUBELET.number,
        "readOnlyPort": 0,
        "enableProfilingHandler": False,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH.number,
        "tlsCertFile": paths.certificate("kubelet-server"),
        "tlsPrivateKeyFile": paths.key("kubelet-server"),
        "tlsMinVersion": tls.MIN_VERSION,
        "tlsCipherSuites": list(tls.SUITES),
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": paths.CA}},
        "authorization": {"mode": "Webhook"},
    }


def _node(spec: ClusterSpec, host: Host) -> dict[str, Any]:
    """The lease is renewed four times in its duration: with the grace period as its duration, three renewals may be lost. A given update frequency
    would become the report frequency as well, and every node would write its whole status to etcd every few seconds: five minutes are the default."""
    return {
        "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
        "cgroupDriver": host.kubelet.cgroup_driver,
        "failCgroupV1": not host.kubelet.allow_cgroup_v1,
        "failSwapOn": host.kubelet.fail_swap_on,
        "nodeStatusUpdateFrequency": f"{spec.node_failure.status_period_s}s",
        "nodeStatusReportFrequency": "5m0s",
        "nodeLeaseDurationSeconds": spec.node_failure.grace_s,
        "registerWithTaints": [_taint(taint) for taint in node_taints(host)],
    }


def _taint(taint: Taint) -> dict[str, str]:
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key} | value | {"effect": taint.effect.value}


def _pods(spec: ClusterSpec, host: Host) -> dict[str, Any]:
    return {
        "clusterDNS": [str(spec.network.dns_service)],
        "clusterDomain": spec.network.domain,
        "resolvConf": RESOLV_CONF,
        "maxPods": host.kubelet.max_pods,
        "podPidsLimit": 4096,
        "seccompDefault": True,
    }
