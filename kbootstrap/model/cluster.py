"""ClusterSpec: what the user wants, after defaults, groups and host overrides were merged and checked.

Addresses and networks are ``ipaddress`` values, never strings. Host-scoped settings (``ssh`` … ``extra_args``) are already resolved per
host, so nobody downstream asks where a value came from; ``inventory.show`` tells that from the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from kbootstrap.model.host import (
    Host,
)


class Plugin(StrEnum):
    """Pod network: ``routes`` (one L2 network), ``vxlan`` (any network), ``none`` (bring your own)."""

    ROUTES = "routes"
    VXLAN = "vxlan"
    NONE = "none"


class EndpointKind(StrEnum):
    """How clients on a host reach an API server: node-local haproxy, ``etcd gateway``, or the user's own address."""

    HAPROXY = "haproxy"
    GATEWAY = "gateway"
    EXTERNAL = "external"


class ArtifactSource(StrEnum):
    """Where binaries come from; ``auto`` takes the first that works and says which."""

    AUTO = "auto"
    RELEASE = "release"
    MIRROR = "mirror"
    GOMOD = "gomod"


class ImageSource(StrEnum):
    """``bundle``: the operator fetches by digest and imports over SSH; ``pull``: hosts pull by digest."""

    BUNDLE = "bundle"
    PULL = "pull"


class KeyType(StrEnum):
    """Private keys: ECDSA P-256, or RSA 3072 for clients that need it."""

    ECDSA = "ecdsa"
    RSA = "rsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Pod and service ranges; ``host_prefix`` is the length of each host's own pod range; ``mtu`` 0 means derived from the host's interface."""

    pods: IPv4Network = IPv4Network("10.244.0.0/16")
    services: IPv4Network = IPv4Network("10.96.0.0/16")
    host_prefix: int = 24
    plugin: Plugin = Plugin.ROUTES
    mtu: int = 0
    domain: str = "cluster.local"

    @property
    def api_service(self) -> IPv4Address:
        """The first address of the service range: the service ``kubernetes``."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """The tenth address of the service range, by custom the DNS service."""
        return self.services[10]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where kubelet, kube-proxy and kubectl reach the API; ``address`` and ``port`` only for ``external``."""

    kind: EndpointKind = EndpointKind.HAPROXY
    address: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailure:
    """Node failure timing in seconds: status period, grace until unreachable, wait until pods are evicted."""

    status_period_s: int = 5
    grace_s: int = 40
    evict_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Etcd:
    """etcd's timing in milliseconds (its own defaults: 100 and 1000) and backend quota in bytes."""

    heartbeat_ms: int = 100
    election_ms: int = 1000
    quota_bytes: int = 8 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The API servers' audit log. *rules*, as audit.k8s.io/v1 has them, decide behind ours that keep noise and the bodies of secrets out of it."""

    rules: tuple[Mapping[str, Any], ...] = ()
    max_age_days: int = 30
    max_backups: int = 10
    max_size_mb: int = 100


class PodSecurityLevel(StrEnum):
    """The Pod Security Standards."""

    PRIVILEGED = "privileged"
    BASELINE = "baseline"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSecurity:
    """What namespaces without a label of their own get; Kubernetes' own defaults. kube-system is always exempt, *exempt* are others."""

    enforce: PodSecurityLevel = PodSecurityLevel.PRIVILEGED
    audit: PodSecurityLevel = PodSecurityLevel.PRIVILEGED
    warn: PodSecurityLevel = PodSecurityLevel.PRIVILEGED
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Lifetimes in days, key type, and SANs to add to the API server's certificate.

    *passphrase_file* opens a sealed PKI directory and locked CA keys, where nobody is there to be asked.
    """

    ca_days: int = 3650
    leaf_days: int = 365
    renew_within_days: int = 30
    key_type: KeyType = KeyType.ECDSA
    extra_sans: tuple[str, ...] = ()
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """``mirror`` is a directory or an http(s) URL with the layout of the official sites. ``offline``: what is not in the cache is refused, and no
    connection is made but to hosts of the inventory."""

    source: ArtifactSource = ArtifactSource.AUTO
    mirror: str = ""
    images: ImageSource = ImageSource.BUNDLE
    offline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """``waive``: findings of these checks (ids of catalog/checks.py) do not stop a run; the value is the reason, shown with each."""

    waive: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """The wanted cluster. ``hosts`` keeps the inventory's order: masters first, a host that is both appears once."""

    name: str
    kubernetes: str  # "1.36.3"
    versions: Mapping[str, str]  # component (catalog/releases.yml: etcd, containerd, runc, cni-plugins, coredns) → version
    network: Network
    hosts: tuple[Host, ...]
    endpoint: Endpoint = field(default_factory=Endpoint)
    node_failure: NodeFailure = field(default_factory=NodeFailure)
    etcd: Etcd = field(default_factory=Etcd)
    certificates: Certificates = field(default_factory=Certificates)
    audit: Audit = field(default_factory=Audit)
    pod_security: PodSecurity = field(default_factory=PodSecurity)
    artifacts: Artifacts = field(default_factory=Artifacts)
    preflight: Preflight = field(default_factory=Preflight)
    cloud: str = "none"  # none|external

    masters: tuple[Host, ...] = field(init=False, repr=False, compare=False)
    workers: tuple[Host, ...] = field(init=False, repr=False, compare=False)
    _by_name: Mapping[str, Host] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Who is who is asked for every host: sought each time, 1000 hosts would cost a million looks."""
        object.__setattr__(self, "masters", tuple(h for h in self.hosts if h.is_master))
        object.__setattr__(self, "workers", tuple(h for h in self.hosts if h.is_worker))
        object.__setattr__(self, "_by_name", {h.name: h for h in reversed(self.hosts)})

    def host(self, name: str) -> Host:
        """The host called *name*; KeyError if there is none."""
        return self._by_name[name]
