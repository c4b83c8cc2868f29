"""``etcd.status`` as a value, and as a screen: a line per member with what decides whether it keeps up, its alarms, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

FSYNC_WARN_S: Final = 0.010  # etcd's own advice for the 99th percentile
COMMIT_WARN_S: Final = 0.025
USED_WARN: Final = 0.8  # of the quota, at which all writing stops
WASTE_WARN: Final = 0.5
WASTE_FROM_BYTES: Final = 64 << 20

HINTS: Final[Mapping[str, str]] = {
    "NOSPACE": "etcd writes no more. Delete what fills it, then invoke etcd.defrag, then invoke etcd.alarms --disarm.",
    "CORRUPT": "Its data differs, so etcd writes no more. On it: systemctl stop etcd && mv /var/lib/etcd/member /var/lib/etcd/corrupt. "
    "Then invoke etcd.alarms --disarm, which asks whether the others agree, and invoke cluster.up: it joins again, empty.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """99th percentiles since the member started, in seconds; None where nothing was measured. *round_trips*: peer → to it and back."""

    fsync_s: float | None = None
    commit_s: float | None = None
    round_trips_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A master's member as it tells of itself; *reason* says why it does not. Ids are as etcd writes them, hexadecimal."""

    host: str
    reason: str = ""
    unit: str = ""
    id: str = ""
    cluster: str = ""
    version: str = ""
    leader: str = ""  # the id of whom it follows; empty: of nobody
    learner: bool = False
    term: int = 0
    index: int = 0
    applied: int = 0
    db_bytes: int = 0
    in_use_bytes: int = 0
    quota_bytes: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def leads(self) -> bool:
        return bool(self.id) and self.leader == self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A member as the members' list has it. *name* is empty for one that was added and has never started."""

    id: str
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """*kind* is NOSPACE or CORRUPT; *member* the id of who raised it."""

    member: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdStatus:
    """One look: *members* are the inventory's masters, *known* is what the members' list says."""

    cluster: str
    members: tuple[Member, ...]
    known: tuple[Known, ...]
    alarms: tuple[Alarm, ...]

    @property
    def leader(self) -> Member | None:
        return next((member for member in self.members if member.leads), None)

    @property
    def following(self) -> tuple[Member, ...]:
        """Who answers and follows a leader (or leads)."""
        return tuple(member for member in self.members if not member.reason and member.leader)

    @property
    def quorum(self) -> bool:
        """A member that has a leader has heard of it within the last second or so, and a leader that loses its majority steps down."""
        return bool(self.following)

    @property
    def strangers(self) -> tuple[Known, ...]:
        """Members that the inventory does not have."""
        return tuple(each for each in self.known if each.name not in {member.host for member in self.members})

    @property
    def ok(self) -> bool:
        return self.quorum and not self.alarms

    def lag(self, member: Member) -> int:
        """How many entries it has not applied that some member has committed."""
        return max(0, max(each.index for each in self.members) - member.applied)

    def host_of(self, member_id: str) -> str:
        """The name behind an id, or the id."""
        named = {each.id: each.name for each in self.known if each.name} | {each.id: each.host for each in self.members if each.id}
        return named.get(member_id, member_id)

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        found = asdict(self)
        for row, member in zip(found["members"], self.members, strict=True):
            row["lag"] = self.lag(member)
        return {**found, "quorum": self.quorum, "leader": self.leader.host if self.leader else "", "ok": self.ok}

    def lines(self) -> Iterator[str]:
        """The screen."""
        lead = self.leader
        versions = ", ".join(sorted({member.version for member in self.members if member.version}))
        voters = sum(not each.learner for each in self.known) or len(self.members)
        head = f"{len(self.following)} of {voters} members follow a leader" if self.quorum else "NO QUORUM"
        yield f"{self.cluster}  etcd {versions or 'unknown'}  {head}" + (f"  {lead.host} leads since term {lead.term}" if lead else "")
        width = max(len(member.host) for member in self.members)
        for member in self.members:
            yield from self._member(member, width)
        for each in self.strangers:
            named = f"{each.name} {each.id}" if each.name else f"not started {each.id}"
            yield f"  !!  {named} {','.join(each.peer_urls)} is a member, and no master of the inventory  → {_stranger(each)}"
        for alarm in self.alarms:
            yield f"  !!  {self.host_of(alarm.member)} ALARM {alarm.kind}  → {HINTS.get(alarm.kind, 'invoke etcd.alarms')}"
        if not self.quorum:
            yield "  →   Bring masters back, their data is on their disks. For good: invoke etcd.recover (a survivor), invoke etcd.restore SNAPSHOT"

    def _member(self, member: Member, width: int) -> Iterator[str]:
        if member.reason:
            unit = f" ({member.unit})" if member.unit else ""
            yield f"  !!  {member.host:<{width}}  {member.reason}{unit}  → On {member.host}: journalctl -u etcd -n 50"
            return
        role = "leader" if member.leads else "learner" if member.learner else "follower" if member.leader else "no leader"
        used = f"{member.db_bytes / 1e6:.1f} MB, {member.in_use_bytes / 1e6:.1f} in use"
        parts = [f"{role:<9}", member.id, f"behind {self.lag(member)}", used, *self._times(member.latencies)]
        yield f"  {'ok' if member.leader else '!!'}  {member.host:<{width}}  {'  '.join(parts)}"
        yield from (f"   ·  {'':<{width}}  {text}" for text in _advice(member))

    def _times(self, found: Latencies) -> Iterator[str]:
        """p99 of each, in milliseconds."""
        timed = [("fsync", found.fsync_s), ("commit", found.commit_s)]
        timed += [(f"to {self.host_of(peer)}", took_s) for peer, took_s in sorted(found.round_trips_s.items())]
        shown = [f"{what} {took_s * 1e3:.1f}" for what, took_s in timed if took_s is not None]
        if shown:
            yield f"p99 ms: {', '.join(shown)}"


def _stranger(each: Known) -> str:
    """What never started has no name: it may be a master's whose ``cluster.up`` was cut off."""
    going = f"On a master: etcdctl member remove {each.id}"
    return going if each.name else f"invoke cluster.up goes on, if it is a master's. {going}, if its host has left"


def _advice(member: Member) -> Iterator[str]:
    """What is no fault yet."""
    times = member.latencies
    if (times.fsync_s or 0) > FSYNC_WARN_S or (times.commit_s or 0) > COMMIT_WARN_S:
        yield "its disk is slow for etcd (p99: fsync below 10 ms, commit below 25 ms are well)  → An SSD of its own for /var/lib/etcd"
    if member.quota_bytes and member.db_bytes > USED_WARN * member.quota_bytes:
        yield f"{member.db_bytes / member.quota_bytes:.0%} of its quota is used; at 100 % it writes no more  → invoke etcd.defrag"
    elif member.db_bytes > WASTE_FROM_BYTES and member.in_use_bytes < WASTE_WARN * member.db_bytes:
        yield "more than half of its file is free inside  → invoke etcd.defrag"
