"""Everything that the page says, as one value. Hosts are named, never held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from kbootstrap.catalog.ports import Port
from kbootstrap.model.finding import Finding
from kbootstrap.model.status import Status


class State(StrEnum):
    """How well something is; every sign of it has a word and a symbol beside its colour."""

    OK = "ok"
    BAD = "bad"
    WARN = "warn"
    UNKNOWN = "unknown"  # it was not asked
    NONE = "none"  # there is nothing to ask


SYMBOLS: Mapping[State, str] = {State.OK: "✓", State.BAD: "✗", State.WARN: "!", State.UNKNOWN: "?", State.NONE: "·"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host as the inventory wants it; *pod_range* is its part of the pod network."""

    name: str
    address: str
    roles: tuple[str, ...]
    arch: str
    pod_range: str

    @property
    def is_master(self) -> bool:
        return "master" in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the matrix: *port* on *targets*, which *sources* must reach (names of hosts)."""

    port: Port
    targets: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def ports(self) -> str:
        """``443/tcp``, ``30000–32767/udp``."""
        number = str(self.port.first) if self.port.first == self.port.last else f"{self.port.first}–{self.port.last}"
        return "all" if self.port.protocol == "any" else f"{number}/{self.port.protocol}"

    @property
    def who(self) -> str:
        """Who must reach it, in words."""
        return ", ".join(_WHO[source.value] for source in self.port.sources)


_WHO = {
    "self": "the host itself",
    "masters": "masters",
    "hosts": "all hosts",
    "pods": "pods",
    "operator": "the operator",
    "all": "everybody",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was proven of the port *row* on *target*: *open* of *asked* directed proofs, and *block* is the index of the first reason against one."""

    row: str
    target: str
    state: State
    open: int = 0
    asked: int = 0
    block: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Ports of *targets* that *sources* do not reach, for one reason. *sources* is empty when none of those who must reach them do.

    *on* are the hosts with the rule; *rule*, *chain*, *zone*, *stack* as in ``model.reach.Cause``, *why* its verdict; *sure* is false where the
    proof itself failed, which says nothing about the port.
    """

    rows: tuple[str, ...]
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    verdict: str
    sure: bool
    detail: str = ""
    on: tuple[str, ...] = ()
    stack: str = ""
    chain: str = ""
    rule: str = ""
    zone: str = ""
    why: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Who must reach whom and what is known of it; *note* says why nothing was proven."""

    rows: tuple[Row, ...]
    cells: tuple[Cell, ...] = ()
    blocks: tuple[Block, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of the operator's PKI. *kind* is its name without the host (``apiserver``); *host* is empty for the cluster's own."""

    kind: str
    host: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    is_ca: bool = False

    @property
    def id(self) -> str:
        return f"{self.host}/{self.kind}" if self.host else self.kind

    def days_left(self, now: datetime) -> float:
        return (self.not_after - now) / timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The cluster's networks, as text."""

    pods: str
    services: str
    host_prefix: int
    plugin: str
    api_service: str
    dns_service: str
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look. *endpoint* is the way of every host to the API; *status* and *findings* are None where no host was asked (*unasked* says why)."""

    cluster: str
    kubernetes: str
    made_by: str
    now: datetime
    places: tuple[Place, ...]
    network: Network
    endpoint: str
    versions: Mapping[str, str]
    matrix: Matrix
    certificates: tuple[Certificate, ...] = ()
    pki_error: str = ""
    status: Status | None = None
    findings: tuple[Finding, ...] | None = None
    unasked: str = ""
    renew_within_days: int = 30

    @property
    def silent(self) -> frozenset[str]:
        """Hosts that were asked and did not answer."""
        return frozenset(host.name for host in self.status.hosts if host.reason) if self.status else frozenset()

    @property
    def installed(self) -> bool:
        """Whether any unit of ours is on any host."""
        return self.status is not None and any(unit.state != "absent" for host in self.status.hosts for unit in host.units)
