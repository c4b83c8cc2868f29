"""etcd's upkeep: ``etcd.defrag``, which stops a member for moments and so goes one by one, and ``etcd.alarms``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kbootstrap.engine import cluster, etcd_status
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, PreflightError, Problem, VerifyError
from kbootstrap.plan import etcd_care_sh as texts
from kbootstrap.plan import etcd_status as words
from kbootstrap.plan.checks.gates import etcdctl, move_leader
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.report.etcd import HINTS, EtcdStatus, Member
from kbootstrap.store import clock
from kbootstrap.store.lock import hold

DEFRAG_S: Final = 600
SETTLE_S: Final = 60.0
ROOM: Final = 0.95  # of the quota: below it etcd can write again


@dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """A member's database file before and after, in bytes."""

    host: str
    before: int
    after: int


def defrag(request: Request) -> Iterator[Won]:
    """Each member's result as it is done: followers first, then the leader, which hands over before. PreflightError unless all are well (an alarm
    for space aside: mending it is what this is for; history goes then, too, since no API server can write that it compacts)."""
    with hold(request.folder.root, "etcd.defrag"):
        known = contact(request.folder)
        with request.connect(known) as pool:
            found = etcd_status.look(known, pool)
            _all_well(found)
            if any(alarm.kind == "NOSPACE" for alarm in found.alarms):
                _compacted(known, pool, found)
            for member in sorted(found.members, key=lambda each: each.leads):
                yield _defragged(known, pool, member)


def _all_well(found: EtcdStatus) -> None:
    problems = [Problem(where=m.host, what=m.reason or "follows no leader") for m in found.members if m.reason or not m.leader]
    problems += [Problem(where=found.host_of(a.member), what=f"alarm {a.kind}", hint=HINTS["CORRUPT"]) for a in found.alarms if a.kind == "CORRUPT"]
    if problems:
        hint = "A member stands still while it is defragmented: the others must be whole. invoke etcd.status"
        raise PreflightError("not every member of etcd is well; nothing was changed", problems=problems, hint=hint)


def _compacted(known: Prepared, pool: Pool, found: EtcdStatus) -> None:
    """Only the present is left: what was deleted takes no more room. Who watches from an older revision is told to list again."""
    host = known.spec.host((found.leader or found.following[0]).host)
    code, _, stderr = cluster.one(pool.connection(host), texts.compact(host), deadline_s=DEFRAG_S)
    if code != 0:
        raise ApplyError(f"compact: {stderr.strip()[-300:]}", host=host.name, hint="invoke etcd.status")


def _defragged(known: Prepared, pool: Pool, member: Member) -> Won:
    host = known.spec.host(member.host)
    connection = pool.connection(host)
    if member.leads and len(known.spec.masters) > 1:
        cluster.one(connection, move_leader(host), deadline_s=60)
    text = f"{etcdctl(host)} --command-timeout={DEFRAG_S}s defrag\n"
    _, output, stderr = cluster.one(connection, text, deadline_s=DEFRAG_S + 30)
    if b"Finished" not in output:
        raise ApplyError(f"defrag: {stderr.strip()[-300:]}", host=host.name, hint="invoke etcd.status")
    after = _settled(known, pool, host.name)
    return Won(host=host.name, before=member.db_bytes, after=after.db_bytes)


def _settled(known: Prepared, pool: Pool, name: str) -> Member:
    """*name*'s member once all members follow a leader again; VerifyError when they do not: the next one must not stand still then."""
    end = clock.monotonic_s() + SETTLE_S
    while True:
        found = etcd_status.look(known, pool)
        if len(found.following) == len(found.members):
            return next(member for member in found.members if member.host == name)
        if clock.monotonic_s() > end or pool.stopping.is_set():
            raise VerifyError(f"etcd is not whole again after {name}; the others were left alone", hint="invoke etcd.status")
        clock.pause(0.5)


def alarms(request: Request, *, disarm: bool) -> tuple[EtcdStatus, bool]:
    """What is armed, and whether it was disarmed. PreflightError where disarming would hide what is not mended."""
    known = contact(request.folder)
    with request.connect(known) as pool:
        found = etcd_status.look(known, pool)
        if not disarm or not found.alarms:
            return found, False
        _mended(known, pool, found)
        leader = found.leader or found.following[0]
        _disarm(known, pool.connection(known.spec.host(leader.host)))
        return etcd_status.look(known, pool), True


def _mended(known: Prepared, pool: Pool, found: EtcdStatus) -> None:
    problems = list(_corrupt(known, pool, found))
    for member in found.members:
        if member.quota_bytes and member.db_bytes > ROOM * member.quota_bytes:
            what = f"{member.db_bytes / 1e6:.0f} of {member.quota_bytes / 1e6:.0f} MB are used"
            problems.append(Problem(where=member.host, what=what, hint=HINTS["NOSPACE"]))
    if not found.quorum:
        problems.append(Problem(where="etcd", what="has no quorum, and disarming is a write", hint="invoke etcd.status"))
    if problems:
        raise PreflightError("the cause is still there; nothing was disarmed", problems=problems)


def _corrupt(known: Prepared, pool: Pool, found: EtcdStatus) -> Iterator[Problem]:
    """Members that still serve other data than the rest. One that is down serves none, and etcd compares before it lets it serve again."""
    corrupt = [alarm for alarm in found.alarms if alarm.kind == "CORRUPT"]
    if not corrupt:
        return
    hosts = [known.spec.host(member.host) for member in found.following]
    outcomes = pool.map(lambda host, connection: cluster.one(connection, texts.hash_of(host), deadline_s=60), hosts)
    said = {name: words.hash_of(*outcome.get()[:2]) if outcome.ok else "" for name, outcome in outcomes.items()}
    if "" in said.values() or len(set(said.values())) > 1:
        told = ", ".join(f"{name}: {each or 'no answer'}" for name, each in said.items())
        for alarm in corrupt:
            yield Problem(where=found.host_of(alarm.member), what=f"alarm CORRUPT, and the members differ ({told})", hint=HINTS["CORRUPT"])


def _disarm(known: Prepared, connection: Connection) -> None:
    code, _, stderr = cluster.one(connection, f"{etcdctl(known.spec.host(connection.host))} alarm disarm\n", deadline_s=30)
    if code != 0:
        raise ApplyError(f"alarm disarm: {stderr.strip()[-300:]}", host=connection.host, hint="invoke etcd.status")
