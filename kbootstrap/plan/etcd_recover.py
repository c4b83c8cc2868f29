"""Which survivor of a lost quorum has the newest data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A master whose member has data. *revision* of its keys and how many entries it has *applied*, both -1 where its etcd does not tell.

    Raft's own counters would mislead: after a restart without a quorum nothing counts as committed, and after a kill fewer entries as applied than
    the database holds. The revision is the database's, also behind a restore, which raises it and begins the entries anew.
    """

    host: str
    revision: int
    applied: int
    db_bytes: int

    @property
    def told(self) -> str:
        """For who is asked."""
        return f"{f'revision {self.revision}' if self.revision > 0 else 'revision unknown'}, {self.db_bytes / 1e6:.1f} MB"


def ranked(found: Iterable[Survivor]) -> tuple[Survivor, ...]:
    """The newest data first."""
    return tuple(sorted(found, key=lambda each: (each.revision, each.applied, each.db_bytes), reverse=True))


def silent(found: Sequence[Survivor]) -> tuple[str, ...]:
    """Who does not tell how new its data is, where that decides: it may be the newest. A single survivor has no rival."""
    return tuple(each.host for each in found if each.revision <= 0) if len(found) > 1 else ()
