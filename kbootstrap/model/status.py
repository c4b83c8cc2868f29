"""``cluster.status`` as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from kbootstrap.errors import counted
from kbootstrap.model.report import Cause

LOOPING = 3  # restarts by systemd, after which a unit that runs only since SETTLED_S does not count as running
SETTLED_S = 15.0
DISK_FULL_PERCENT = 90
CERTIFICATE_SOON_D = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit that a host's roles want. *version* is of the program that really runs ("" where it has none to compare); *since_s* is how long
    the state lasts, None where systemd has forgotten; *cause* is named where it does not run."""

    host: str
    name: str
    state: str  # "active running", "failed exit-code", "absent"
    since_s: float | None = None
    restarts: int = 0
    version: str = ""
    wanted: str = ""
    cause: Cause | None = None

    @property
    def active(self) -> bool:
        return self.state.startswith("active") and not self.looping

    @property
    def looping(self) -> bool:
        """It ends again and again, and systemd starts it each time."""
        return self.restarts >= LOOPING and self.since_s is not None and self.since_s < SETTLED_S

    @property
    def ok(self) -> bool:
        return self.active and self.version == self.wanted

    @property
    def hint(self) -> str:
        """What mends it, or says more."""
        if self.active or self.state == "absent":
            return "invoke cluster.up"
        return self.cause.hint if self.cause else f"On {self.host}: journalctl -u {self.name} -n 50"

    @property
    def what(self) -> str:
        """``failed exit-code for 3 min, 12 restarts: it does not know the flag --x``; of one that is not as it should be."""
        if self.active:
            return f"runs {self.version or 'an unknown version'}, want {self.wanted}"
        if self.state == "absent":
            return "is absent"
        lasting = f" for {span(self.since_s)}" if self.since_s is not None else ""
        restarts = f", {counted(self.restarts, 'restart')}" if self.restarts else ""
        return f"{self.state}{lasting}{restarts}{f': {self.cause.what}' if self.cause else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The certificate of a host that expires first; one that cannot be read counts as expired."""

    path: str
    days_left: float
    readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """A host. *reason* says why it could not be read; then the rest is empty. *disks*: mount point → percent used."""

    name: str
    roles: tuple[str, ...]
    reason: str = ""
    hint: str = ""
    os: str = ""
    kernel: str = ""
    up_s: float = 0.0
    clock_s: float = 0.0
    certificate: Certificate | None = None
    disks: dict[str, int] = field(default_factory=dict)
    units: tuple[Unit, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.reason and (self.certificate is None or self.certificate.days_left > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An etcd member as its own host tells; *reason* says why it does not. *alarms*: (member, kind) of every one that it knows, also others'."""

    host: str
    leader: bool = False
    version: str = ""
    db_bytes: int = 0
    members: tuple[str, ...] = ()  # the names that this member knows
    alarms: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A master's API server: *reason* is empty when /readyz says ok."""

    host: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node as the API tells; a host whose node is not there has *status* absent."""

    name: str
    status: str  # True, False, Unknown, absent
    detail: str = ""

    @property
    def ready(self) -> bool:
        return self.status == "True"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that explains why a cluster is not well, and what mends it; a *warning* alone does not make it unhealthy. *id* names its kind."""

    where: str
    what: str
    hint: str
    warning: bool = False
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One look. *nodes* is empty when no API server answers."""

    cluster: str
    kubernetes: str
    hosts: tuple[HostState, ...]
    members: tuple[Member, ...]
    apis: tuple[Api, ...]
    nodes: tuple[NodeState, ...]
    troubles: tuple[Trouble, ...]

    @property
    def healthy(self) -> bool:
        parts = (
            all(host.ok and all(unit.ok for unit in host.units) for host in self.hosts),
            all(not member.reason for member in self.members) and any(member.leader for member in self.members),
            all(not api.reason for api in self.apis),
            bool(self.nodes) and all(node.ready for node in self.nodes),
            all(trouble.warning for trouble in self.troubles),
        )
        return all(parts)

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {**asdict(self), "healthy": self.healthy}


def span(seconds: float) -> str:
    """A duration as people say it: ``42 s``, ``7 min``, ``3 h``, ``12 d``."""
    for unit_s, unit, least in ((86400.0, "d", 2), (3600.0, "h", 2), (60.0, "min", 2)):
        if seconds >= unit_s * least:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
