"""``cluster.status`` as a value, and as one screen: what is well is folded into a line, what is not stands alone with its reason and next command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    """An etcd member as its own host tells; *reason* says why it does not."""

    host: str
    leader: bool = False
    version: str = ""
    db_bytes: int = 0
    members: tuple[str, ...] = ()  # the names that this member knows
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

    def lines(self) -> Iterator[str]:
        """The screen."""
        yield f"{self.cluster}  Kubernetes {self.kubernetes}  {'healthy' if self.healthy else 'NOT HEALTHY'}"
        for title, rows in (
            ("HOSTS", _hosts(self.hosts)),
            ("UNITS", _units([unit for host in self.hosts for unit in host.units])),
            ("ETCD", _etcd(self.members)),
            ("API", _apis(self.apis)),
            ("NODES", _nodes(self.nodes)),
            ("TROUBLES", (_trouble(each) for each in self.troubles)),
        ):
            yield from _titled(title, rows)


def _titled(title: str, rows: Iterable[str]) -> Iterator[str]:
    shown = list(rows)
    yield from ([title, *shown] if shown else [])


def _row(ok: bool, text: str, hint: str = "") -> str:
    return f"  {'ok' if ok else '!!'}  {text.rstrip()}{f'  → {hint}' if hint else ''}"


def span(seconds: float) -> str:
    """A duration as people say it: ``42 s``, ``7 min``, ``3 h``, ``12 d``."""
    for unit_s, unit, least in ((86400.0, "d", 2), (3600.0, "h", 2), (60.0, "min", 2)):
        if seconds >= unit_s * least:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _hosts(hosts: Sequence[HostState]) -> Iterator[str]:
    width = max((len(host.name) for host in hosts), default=0)
    roles = max((len(",".join(host.roles)) for host in hosts), default=0)
    for host in hosts:
        head = f"{host.name:<{width}}  {','.join(host.roles):<{roles}}  "
        if host.reason:
            yield _row(False, f"{head}cannot be read: {host.reason}", host.hint)
            continue
        active = sum(unit.active for unit in host.units)
        parts = [host.os, host.kernel, f"up {span(host.up_s)}", f"{active}/{len(host.units)} units"]
        parts += [f"certificates {host.certificate.days_left:.0f} d"] if host.certificate else []
        parts += [f"{mount} {used} %" for mount, used in host.disks.items() if used >= DISK_FULL_PERCENT]
        yield _row(host.ok and active == len(host.units), head + "  ".join(parts))


def _units(units: Sequence[Unit]) -> Iterator[str]:
    """A line per unit over all hosts, and below it one for each host where it is not so."""
    names = list(dict.fromkeys(unit.name for unit in units))
    width = max((len(name) for name in names), default=0)
    for name in names:
        mine = [unit for unit in units if unit.name == name]
        active = [unit for unit in mine if unit.active]
        since = sorted(unit.since_s for unit in active if unit.since_s is not None)
        ages = list(dict.fromkeys(span(s) for s in (since[:1] + since[-1:])))
        version = ",".join(sorted({unit.version for unit in active if unit.version}))
        head = f"{name:<{width}}  {version:<8}  {len(active)} of {len(mine)} active"
        yield _row(all(unit.ok for unit in mine), f"{head}, for {' to '.join(ages)}" if ages else head)
        yield from (f"        {_why(unit)}" for unit in mine if not unit.ok)


def _why(unit: Unit) -> str:
    what = "does not have it" if unit.state == "absent" else unit.what
    return f"{unit.host} {what}  → {unit.hint}"


def _etcd(members: Sequence[Member]) -> Iterator[str]:
    for member in members:
        if member.reason:
            yield _row(False, f"{member.host}  {member.reason}", f"On {member.host}: journalctl -u etcd -n 50")
            continue
        role = "leader" if member.leader else "follower"
        yield _row(True, f"{member.host}  {role:<8}  {member.version}  {member.db_bytes / 1e6:.0f} MB  knows {', '.join(member.members)}")


def _apis(apis: Sequence[Api]) -> Iterator[str]:
    good = [api for api in apis if not api.reason]
    yield _row(len(good) == len(apis), f"{len(good)} of {len(apis)} API servers ready")
    yield from (f"        {api.host}: {api.reason}  → On {api.host}: journalctl -u kube-apiserver -n 50" for api in apis if api.reason)


def _nodes(nodes: Sequence[NodeState]) -> Iterator[str]:
    if not nodes:
        yield _row(False, "not known: no API server answers")
        return
    ready = [node for node in nodes if node.ready]
    yield _row(len(ready) == len(nodes), f"{len(ready)} of {len(nodes)} Ready")
    for node in nodes:
        if not node.ready:
            state = "is not registered" if node.status == "absent" else f"Ready is {node.status}: {node.detail}"
            yield f"        {node.name} {state}  → On {node.name}: journalctl -u kubelet -n 50"


def _trouble(each: Trouble) -> str:
    return f"  {'· ' if each.warning else '!!'}  {each.where}  {each.what}  → {each.hint}"
