"""Whether hosts get through to each other's daemons: their sshd dials where somebody listens. ``ports.check`` proves all, and names the rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kbootstrap import topology
from kbootstrap.catalog import ports
from kbootstrap.catalog.ports import Port
from kbootstrap.errors import CommandError, KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.status import Trouble
from kbootstrap.plan.troubles import unreached
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool

DIALLED: Final = (ports.API, ports.ETCD_CLIENT, ports.ETCD_PEER, ports.KUBELET)
TIMEOUT_S: Final = 3.0
ENOUGH: Final = 3  # that many failures of one source tell enough; each costs its time
_FORBIDDEN: Final = "forbids forwarding"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    target: str
    address: str
    port: Port


def reached(spec: ClusterSpec, pool: Pool, observed: Mapping[str, Observed]) -> Iterator[Trouble]:
    """A trouble for each port that is listened at and that hosts do not get through to."""
    ways = _ways(spec, observed)
    outcomes = pool.map(lambda host, connection: _dial(connection, ways[host.name]), [h for h in spec.hosts if h.name in ways])
    blocked: defaultdict[tuple[str, Port], list[tuple[str, str]]] = defaultdict(list)
    for source, outcome in outcomes.items():
        for way, why in outcome.get() if outcome.ok else ():
            blocked[way.target, way.port].append((source, why))
    for (target, port), found in blocked.items():
        yield unreached(target, port.number, port.purpose, [source for source, _ in found], found[0][1])


def _ways(spec: ClusterSpec, observed: Mapping[str, Observed]) -> dict[str, list[_Way]]:
    """Source → what it dials: ports of the matrix at which the target itself says that somebody listens."""
    found: defaultdict[str, list[_Way]] = defaultdict(list)
    for row in topology.rows(spec):
        if row.port not in DIALLED:
            continue
        for target in row.targets:
            if target.name not in observed or not _listens(observed[target.name], target, row.port):
                continue
            for source in row.sources:
                if source.name != target.name and source.name in observed:
                    found[source.name].append(_Way(target=target.name, address=str(target.address), port=row.port))
    return found


def _listens(seen: Observed, target: Host, port: Port) -> bool:
    everywhere = ("*", "0.0.0.0", "::", str(target.address))  # noqa: S104  compared, not bound
    return any(s.protocol == "tcp" and s.number == port.number and s.address in everywhere for s in seen.survey.sockets)


def _dial(connection: Connection, ways: list[_Way]) -> list[tuple[_Way, str]]:
    """(way, why not) of those that do not answer. A host whose sshd forbids it proves nothing."""
    failed: list[tuple[_Way, str]] = []
    for way in ways:
        try:
            connection.dial(way.address, way.port.number, timeout_s=TIMEOUT_S).close()
        except CommandError as error:
            if _FORBIDDEN in error.message:
                return []
            failed.append((way, error.message.rpartition(": ")[2]))
        except KbError:
            return failed
        if len(failed) >= ENOUGH:
            break
    return failed
