"""The node-local way to the API: where each component's kubeconfig points, and what the proxy on 127.0.0.1 is told."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog.ports import API
from kbootstrap.model.cluster import ClusterSpec, EndpointKind, Host

_OWN: Final = frozenset({"controller-manager", "scheduler"})  # version skew: these must not be newer than the API server they talk to


def api_server_url(spec: ClusterSpec, host: Host, component: str) -> str:
    """The ``server:`` of the kubeconfig of *component* (``kubelet``, ``kube-proxy``, ``admin``, ``controller-manager``, ``scheduler``) on *host*."""
    if component in _OWN:
        return f"https://{host.address}:{API.number}"
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        return f"https://{spec.endpoint.address}:{spec.endpoint.port}"
    return f"https://127.0.0.1:{API.number}"


def backends(spec: ClusterSpec) -> dict[str, str]:
    """Master → ``address:port`` of its API server, in the order of the inventory."""
    return {master.name: f"{master.address}:{API.number}" for master in spec.masters}


def gateway_arguments(spec: ClusterSpec) -> tuple[str, ...]:
    """The command line of ``etcd gateway``, which passes bytes on. It neither checks its targets nor limits dialling; a target that refused is
    tried again after ``retry-delay``."""
    return (
        "gateway",
        "start",
        f"--listen-addr=127.0.0.1:{API.number}",
        f"--endpoints={','.join(backends(spec).values())}",
        "--retry-delay=2s",
    )
