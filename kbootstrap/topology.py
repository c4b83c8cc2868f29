"""Who must reach whom: the table of ports × the inventory. Firewall, port checks, verification and documentation read it. Pure.

A ``Row`` is one line of the table on the hosts that have it, an ``Opening`` what one host's firewall lets in for it, a ``Pair`` one directed
proof from a host to a host. What only the host itself may ask (``Source.SELF``) is on loopback: a row, but neither opening nor pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Final

from kbootstrap.catalog import ports
from kbootstrap.catalog.ports import Hook, Port, Source
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host, Role
from kbootstrap.model.reach import Pair
from kbootstrap.model.same import Same

ANYWHERE: Final = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """*port* on *targets*, which *sources* must reach: hosts of the inventory, as far as it is they who must."""

    port: Port
    targets: tuple[Host, ...]
    sources: tuple[Host, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a firewall lets in: *port*, on its way through *hook*, from *networks* (sorted; ``ANYWHERE`` stands alone)."""

    port: Port
    hook: Hook
    networks: tuple[IPv4Network, ...]


def rows(spec: ClusterSpec) -> tuple[Row, ...]:
    """The matrix, in the table's order, without rows that no host of this cluster has."""
    found = []
    for port in ports.PORTS:
        targets = targets_of(spec, port)
        if targets and port.plugin in ("", spec.network.plugin):
            found.append(Row(port=port, targets=targets, sources=_sources(spec, port)))
    return tuple(found)


def targets_of(spec: ClusterSpec, port: Port) -> tuple[Host, ...]:
    """The hosts that have *port*. Where there are no workers, masters do what workers do."""
    roles = {Role(name) for name in port.roles}
    if not spec.workers and Role.WORKER in roles:
        roles.add(Role.MASTER)
    return tuple(host for host in spec.hosts if host.roles & roles)


def openings(spec: ClusterSpec, host: Host) -> tuple[Opening, ...]:
    """What the firewall of *host* must let in, and nothing else. Its roles alone decide it: hosts alike get the very same tuple."""
    return _of(Same(spec), host.roles)


@lru_cache(maxsize=8)
def _of(same: Same[ClusterSpec], roles: frozenset[Role]) -> tuple[Opening, ...]:
    alike = {host.name for host in same.value.hosts if host.roles == roles}
    return tuple(opening for names, found in _let_in(same) if not alike.isdisjoint(names) for opening in found)


@lru_cache(maxsize=2)
def _let_in(same: Same[ClusterSpec]) -> tuple[tuple[frozenset[str], tuple[Opening, ...]], ...]:
    """For each row the names of its targets, and what they let in for it."""
    found = []
    for row in rows(same.value):
        if networks := _networks(same.value, row.port):
            let_in = tuple(Opening(port=row.port, hook=hook, networks=networks) for hook in row.port.hooks)
            found.append((frozenset(target.name for target in row.targets), let_in))
    return tuple(found)


def pairs(spec: ClusterSpec, *, chosen: int = 0) -> tuple[Pair, ...]:
    """Every directed proof between two hosts; a range by its first, its last, and one between them that *chosen* (any number) picks."""
    found = []
    for row in rows(spec):
        if row.port.protocol == "any":
            continue
        for target in row.targets:
            others = [source for source in row.sources if source is not target]
            found += [
                Pair(port=row.port, source=source.name, target=target.name, number=number)
                for source in others
                for number in numbers(row.port, chosen)
            ]
    return tuple(found)


def numbers(port: Port, chosen: int = 0) -> tuple[int, ...]:
    """The ports that stand for a range in a proof."""
    inner = port.last - port.first - 1
    middle = [port.first + 1 + chosen % inner] if inner > 0 else []
    return tuple(sorted({port.first, *middle, port.last}))


def _sources(spec: ClusterSpec, port: Port) -> tuple[Host, ...]:
    if {Source.ALL, Source.HOSTS} & set(port.sources):
        return spec.hosts
    return spec.masters if Source.MASTERS in port.sources else ()


def _networks(spec: ClusterSpec, port: Port) -> tuple[IPv4Network, ...]:
    if {Source.ALL, Source.OPERATOR} & set(port.sources):  # where the operator sits is in no inventory
        return (ANYWHERE,)
    found = {IPv4Network(host.address) for host in _sources(spec, port)}
    return tuple(sorted(found | ({spec.network.pods} if Source.PODS in port.sources else set())))
