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


class Role(StrEnum):
    """What a host is in the cluster; it may be both."""

    MASTER = "master"
    WORKER = "worker"


class TaintEffect(StrEnum):
    """Kubernetes' taint effects."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Plugin(StrEnum):
    """Pod network: ``routes`` (one L2 network), ``vxlan`` (any network), ``none`` (bring your own)."""

    ROUTES = "routes"
    VXLAN = "vxlan"
    NONE = "none"


class ProxyMode(StrEnum):
    """kube-proxy's modes; ipvs is deprecated upstream."""

    NFTABLES = "nftables"
    IPTABLES = "iptables"
    IPVS = "ipvs"


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


class FirewallMode(StrEnum):
    """What may happen to a host's firewall: ``true`` opens what the cluster needs in one that is active, ``false`` leaves it alone, ``report``
    leaves it alone and says what would be opened."""

    TRUE = "true"
    FALSE = "false"
    REPORT = "report"


class KeyType(StrEnum):
    """Private keys: ECDSA P-256, or RSA 3072 for clients that need it."""

    ECDSA = "ecdsa"
    RSA = "rsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A node taint, ``key=value:effect``."""

    key: str
    value: str
    effect: TaintEffect

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bastion:
    """A host to go through; its key is checked against the same known_hosts."""

    host: str
    user: str
    port: int = 22
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sudo:
    """How to become root. The password itself is never part of the spec: it is asked for, or read from a 0600 file or a descriptor."""

    needed: bool = False
    password: bool = False  # sudo asks for one
    password_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """The way in; ``host`` and ``port`` may differ from the address that the cluster uses (Vagrant's do)."""

    user: str
    host: str
    port: int = 22
    key: Path | None = None
    sudo: Sudo = field(default_factory=Sudo)
    bastion: Bastion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPrep:
    """Host preparation: ``swap`` off|leave, ``sysctl`` all|namespaced|leave (namespaced: only net.*, for hosts in containers)."""

    swap: str = "off"
    sysctl: str = "all"
    modules: str = "load"  # load|leave


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """containerd: ``restrict_oom_score_adj`` is for machines whose root lacks CAP_SYS_RESOURCE."""

    restrict_oom_score_adj: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """kubelet; ``config`` is merged over the KubeletConfiguration that we render."""

    max_pods: int = 110
    cgroup_driver: str = "systemd"  # systemd|cgroupfs
    fail_swap_on: bool = True
    allow_cgroup_v1: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """kube-proxy; ``conntrack_max_per_core`` 0 leaves the kernel's value (needed inside containers)."""

    mode: ProxyMode = ProxyMode.NFTABLES
    conntrack_max_per_core: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """The host's firewall. By default one that is active is opened for exactly what the cluster needs, since it would not come up otherwise;
    where none is active nothing changes, unless ``strict``: then everything but the matrix, SSH and ICMP is dropped by a table of our own."""

    manage: FirewallMode = FirewallMode.TRUE
    strict: bool = False

    @property
    def opens(self) -> bool:
        """Whether rules may be changed."""
        return self.manage is FirewallMode.TRUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host with every host-scoped setting resolved."""

    name: str
    address: IPv4Address
    roles: frozenset[Role]
    ssh: Ssh
    arch: str = "amd64"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    host: HostPrep = field(default_factory=HostPrep)
    runtime: Runtime = field(default_factory=Runtime)
    kubelet: Kubelet = field(default_factory=Kubelet)
    proxy: Proxy = field(default_factory=Proxy)
    firewall: Firewall = field(default_factory=Firewall)
    extra_args: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # component → flag → value

    @property
    def is_master(self) -> bool:
        return Role.MASTER in self.roles

    @property
    def is_worker(self) -> bool:
        return Role.WORKER in self.roles


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
