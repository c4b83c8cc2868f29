"""kube-controller-manager: signs nothing (no CA key lies on a host) and hands out no pod ranges (the inventory's state does)."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import CONTROLLER_MANAGER
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.render import controllers, flags
from kbootstrap.render.systemd import credential

COMPONENT: Final = "kube-controller-manager"
NAME: Final = "controller-manager"

# Approving and signing are of no use without a CA key; what nobody signs, the cleaner removes.
_OFF: Final = ("certificatesigningrequest-approving-controller", "certificatesigningrequest-signing-controller")


def credentials() -> dict[str, str]:
    """Credential name → file on the host."""
    return controllers.credentials(NAME) | {"sa.key": paths.SA_KEY}


def arguments(spec: ClusterSpec, host: Host) -> tuple[str, ...]:
    """The command line of the controller manager on *host*."""
    ours = controllers.flags(NAME, CONTROLLER_MANAGER) | {
        "controllers": ("*", *(f"-{name}" for name in _OFF)),
        "allocate-node-cidrs": False,
        "node-monitor-period": f"{spec.node_failure.status_period_s}s",
        "node-monitor-grace-period": f"{spec.node_failure.grace_s}s",
        "root-ca-file": credential("ca.crt"),
        "service-account-private-key-file": credential("sa.key"),
        "use-service-account-credentials": True,
        "terminated-pod-gc-threshold": 1000,
    }
    if spec.cloud == "external":
        ours["cloud-provider"] = "external"
    return flags.arguments(COMPONENT, ours, host)
