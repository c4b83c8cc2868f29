"""What a check sees: everything known after one read of the hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kbootstrap.errors import KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.finding import Finding
from kbootstrap.model.host import Host
from kbootstrap.model.sealing import Sealing
from kbootstrap.model.survey import Survey
from kbootstrap.plan.ledger import Ledger

__all__ = ["Context", "Finding", "Seen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One host that was read; *installed* if a ledger of ours lies there."""

    host: Host
    facts: Facts
    survey: Survey
    ledger: Ledger

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def installed(self) -> bool:
        return not self.ledger.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """*errors* are of hosts that could not be read, *damaged* of ledgers.

    *ca_sha256* is of every file that a host may hold as our CA (a rotation has several), what it should hold now first; *sealing* is empty where
    the PKI could not be read, which *pki_error* says.
    """

    spec: ClusterSpec
    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    cluster_id: str
    ca_sha256: Sequence[str]
    pki_error: KbError | None = None
    errors: Mapping[str, KbError] = field(default_factory=dict)
    damaged: Mapping[str, KbError] = field(default_factory=dict)
    sealing: Sealing = field(default_factory=Sealing)

    def hosts(self) -> Iterator[Seen]:
        """The hosts that were read, in the inventory's order."""
        for host in self.spec.hosts:
            if host.name in self.observed:
                seen = self.observed[host.name]
                yield Seen(host=host, facts=seen.facts, survey=seen.survey, ledger=self.ledgers.get(host.name, Ledger()))

    def twins(self, marks: Callable[[Seen], Iterable[Hashable]]) -> Iterator[tuple[Seen, Seen, Hashable]]:
        """(host, an earlier host with the same mark, the mark), once per host: what must be different everywhere and is not."""
        first: dict[Hashable, Seen] = {}
        told: defaultdict[str, bool] = defaultdict(bool)
        for seen in self.hosts():
            for mark in marks(seen):
                other = first.setdefault(mark, seen)
                if other is not seen and not told[seen.name]:
                    told[seen.name] = True
                    yield seen, other, mark
