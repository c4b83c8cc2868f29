"""A host of the inventory, after the layers (cluster, group, host) were merged: how it is reached, prepared and run. Frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
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


class ProxyMode(StrEnum):
    """kube-proxy's modes; ipvs is deprecated upstream."""

    NFTABLES = "nftables"
    IPTABLES = "iptables"
    IPVS = "ipvs"


class FirewallMode(StrEnum):
    """What may happen to a host's firewall: ``true`` opens what the cluster needs in one that is active, ``false`` leaves it alone, ``report``
    leaves it alone and says what would be opened."""

    TRUE = "true"
    FALSE = "false"
    REPORT = "report"


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
