"""Survey: what the preflight alone wants to know of a host. Every default means «not asked» and never raises an alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left where *path* is or will be: its filesystem is mounted at *mount* with *options*. *inodes* is 0 where they are not counted."""

    path: str
    mount: str
    free_kb: int
    inodes: int
    free_inodes: int
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface and its IPv4 addresses with prefix."""

    name: str
    mac: str = ""
    mtu: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of the main table; *text* as ``ip`` shows it."""

    network: IPv4Network
    link: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """Something listens: *pid*, *command* and systemd *unit* of the holder, as far as the kernel tells."""

    protocol: str
    address: str
    number: int
    pid: int = 0
    command: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One bounded question to the host's resolver."""

    name: str
    found: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """*thorough* tells whether the second half was asked, which costs more: on hosts that are not installed, or on demand."""

    container: str = ""  # systemd's name for the kind of container, "" on a machine
    product_uuid: str = ""
    controllers: frozenset[str] = frozenset()
    rooms: tuple[Room, ...] = ()
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    host_keys: frozenset[str] = frozenset()
    own_names: tuple[str, ...] = ()  # addresses that /etc/hosts gives the host's own name
    nameservers: tuple[str, ...] | None = None
    fstab_swap: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)  # name → present | loadable | absent
    sysctls: Mapping[str, str] = field(default_factory=dict)  # name → value, with « ro» behind it where it cannot be written
    selinux: str = ""  # 1: enforcing, 0: permissive
    apparmor: bool = False  # the kernel has it switched on
    missing: frozenset[str] = frozenset()  # commands
    remains: tuple[str, ...] = ()  # paths of other installers
    drop_ins: tuple[str, ...] = ()  # for units of our names
    cni: tuple[str, ...] = ()  # names in /etc/cni/net.d
    ipvs: str = ""  # a line of the kernel's table
    thorough: bool = False
    sockets: tuple[Socket, ...] = ()
    active: frozenset[str] = frozenset()  # units
    ufw: bool = False  # enabled in its configuration
    sync_ms: float | None = None
    lookup: Lookup | None = None
    chains: tuple[str, ...] = ()  # of other installers, «table chain»
    locks: tuple[str, ...] = ()  # «path pid command»
    seal_keys: tuple[str, ...] = ()  # fingerprints of what the API server's configuration seals secrets with
