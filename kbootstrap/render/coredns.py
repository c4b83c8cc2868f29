"""CoreDNS: the cluster's own names, everything else to the hosts' resolver."""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.render.versions import at_least

REPLICAS: Final = 2
GONE_S: Final = 30
"""After so long on a node that is not Ready another pod takes its place: names are what all others need, and until then the budget of one healthy
pod forbids every drain of the node where that one runs. Kubernetes' own default, 300 s, is as long as a drain's deadline."""
PORT: Final = 1053  # inside the pod: above 1024, so that no capability is needed to bind it


def view(spec: ClusterSpec, image: str) -> dict[str, Any]:
    """What CoreDNS' manifests see."""
    return {
        "image": image,
        "replicas": REPLICAS,
        "port": PORT,
        "gone_s": min(GONE_S, spec.node_failure.evict_s),
        "domain": spec.network.domain,
        "service": str(spec.network.dns_service),
        "traffic": "PreferSameNode" if at_least(spec.kubernetes, "1.35") else "PreferClose",
        # Without workers the tainted masters are all there is.
        "on_masters": not spec.workers,
    }
