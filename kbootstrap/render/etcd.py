"""etcd: flags only, because with a configuration file it ignores every flag, and auditors read flags."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import ETCD_CLIENT, ETCD_METRICS, ETCD_PEER
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.render import flags, tls
from kbootstrap.render.versions import at_least

COMPONENT: Final = "etcd"
_LOOPBACK: Final = "127.0.0.1"


def client_url(host: Host) -> str:
    """Where the member of *host* serves clients."""
    return f"https://{host.address}:{ETCD_CLIENT.number}"


def peer_url(host: Host) -> str:
    """Where the member of *host* serves its peers."""
    return f"https://{host.address}:{ETCD_PEER.number}"


def initial_cluster(spec: ClusterSpec) -> str:
    """``m1=https://…,m2=…``: all masters, read only by a member without data."""
    return ",".join(f"{master.name}={peer_url(master)}" for master in spec.masters)


def initial(cluster: str, state: str, token: str) -> str:
    """What only a member without data reads, as an environment file: when another member comes or moves, nobody restarts for it.

    *cluster*: as ``initial_cluster``; *state*: ``new`` or ``existing``.
    """
    return f"ETCD_INITIAL_CLUSTER={cluster}\nETCD_INITIAL_CLUSTER_STATE={state}\nETCD_INITIAL_CLUSTER_TOKEN={token}\n"


def arguments(spec: ClusterSpec, host: Host) -> tuple[str, ...]:
    """The command line of the member on *host*."""
    ours: dict[str, object] = {"name": host.name, "data-dir": paths.ETCD_DATA}
    ours |= _listeners(host) | _security() | _tuning(spec)
    return flags.arguments(COMPONENT, ours, host)


def _listeners(host: Host) -> dict[str, object]:
    return {
        "listen-client-urls": (client_url(host), f"https://{_LOOPBACK}:{ETCD_CLIENT.number}"),
        "advertise-client-urls": client_url(host),
        "listen-peer-urls": peer_url(host),
        "initial-advertise-peer-urls": peer_url(host),
        "listen-metrics-urls": f"http://{_LOOPBACK}:{ETCD_METRICS.number}",
    }


def _security() -> dict[str, object]:
    return {
        "client-cert-auth": True,
        "cert-file": f"{paths.ETCD_PKI}/server.crt",
        "key-file": f"{paths.ETCD_PKI}/server.key",
        "trusted-ca-file": paths.ETCD_CA,
        "peer-client-cert-auth": True,
        "peer-cert-file": f"{paths.ETCD_PKI}/peer.crt",
        "peer-key-file": f"{paths.ETCD_PKI}/peer.key",
        "peer-trusted-ca-file": paths.ETCD_CA,
        "auto-tls": False,
        "peer-auto-tls": False,
        "cipher-suites": tls.SUITES_12,
        "tls-min-version": "TLS1.2",
    }


def _tuning(spec: ClusterSpec) -> dict[str, object]:
    """Compaction is the API server's, every five minutes. Members whose data differ are looked for when one starts, and each minute by the
    hashes of compactions, which costs next to nothing; etcd advises both for production (op-guide, data corruption). Their names changed in 3.6.
    Progress is notified every 5 s because the API server's watch cache waits for it before it answers a consistent list."""
    ours: dict[str, object] = {
        "heartbeat-interval": spec.etcd.heartbeat_ms,
        "election-timeout": spec.etcd.election_ms,
        "quota-backend-bytes": spec.etcd.quota_bytes,
    }
    if at_least(spec.versions.get(COMPONENT, "3.6"), "3.6"):
        return ours | {"feature-gates": "InitialCorruptCheck=true,CompactHashCheck=true", "watch-progress-notify-interval": "5s"}
    checks = {"experimental-initial-corrupt-check": True, "experimental-compact-hash-check-enabled": True}
    return ours | checks | {"experimental-watch-progress-notify-interval": "5s"}
