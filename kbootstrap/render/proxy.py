"""kube-proxy: a KubeProxyConfiguration; with it, kube-proxy ignores the flags that it replaces."""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import PROXY_HEALTH, PROXY_METRICS
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.render import flags
from kbootstrap.render.documents import merged

COMPONENT: Final = "kube-proxy"


def arguments(host: Host) -> tuple[str, ...]:
    """The command line: the configuration, and what the user adds (logging)."""
    return flags.arguments(COMPONENT, {"config": paths.PROXY_CONFIG}, host)


def configuration(spec: ClusterSpec, host: Host) -> dict[str, Any]:
    """The KubeProxyConfiguration, the host's own keys (``proxy.config``) merged over ours. No ``hostnameOverride``: preflight checks the name."""
    ours: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": paths.kubeconfig("kube-proxy")},
        "mode": host.proxy.mode.value,
        "clusterCIDR": str(spec.network.pods),
        "nodePortAddresses": ["primary"],  # the node's own address: nftables' default, named because iptables' is every address, loopback too
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS.number}",
        "healthzBindAddress": f"0.0.0.0:{PROXY_HEALTH.number}",
    }
    if host.proxy.conntrack_max_per_core is not None:
        ours["conntrack"] = {"maxPerCore": host.proxy.conntrack_max_per_core}
    return merged(ours, host.proxy.config)
