"""CoreDNS: the cluster's own names, everything else to the hosts' resolver."""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.render.versions import at_least

REPLICAS: Final = 2
PORT: Final = 1053  # inside the pod: above 1024, so that no capability is needed to bind it


def view(spec: ClusterSpec, image: str) -> dict[str, Any]:
    """What CoreDNS' manifests see."""
    return {
        "image": image,
        "replicas": REPLICAS,
        "port": PORT,
        "domain": spec.network.domain,
        "service": str(spec.network.dns_service),
        "traffic": "PreferSameNode" if at_least(spec.kubernetes, "1.35") else "PreferClose",
        # Without workers the tainted masters are all there is.
        "on_masters": not spec.workers,
    }
