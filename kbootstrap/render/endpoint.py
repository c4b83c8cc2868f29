"""The node-local way to the API: what the proxy on 127.0.0.1 is told."""

from __future__ import annotations

from kbootstrap.catalog.ports import API
from kbootstrap.model.cluster import ClusterSpec


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
