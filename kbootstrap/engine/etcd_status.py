"""``etcd.status``: one read per master, all at once, and its member's own metrics; bears members that are down, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbootstrap.catalog import ports
from kbootstrap.engine.contact import contact
from kbootstrap.engine.etcd import LOOPBACK
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import KbError
from kbootstrap.model.host import Host
from kbootstrap.plan import etcd_status as words
from kbootstrap.remote import fuse, http
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Outcome, Pool, answered
from kbootstrap.report.etcd import EtcdStatus, Member
from kbootstrap.store import entropy

if TYPE_CHECKING:
    from kbootstrap.engine.request import Request

READ_DEADLINE_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one master said: section → (exit code, output), and its member's metrics ("" where they cannot be had)."""

    sections: Mapping[str, tuple[int, str]]
    metrics: str = ""

    def of(self, name: str) -> tuple[int, str]:
        return self.sections.get(name, (1, ""))


def status(request: Request) -> EtcdStatus:
    """One look at etcd of the cluster of *request*'s folder. Raises InventoryError; what is wrong with hosts is in the value."""
    known = contact(request.folder)
    with request.connect(known) as pool:
        return look(known, pool)


def look(known: Prepared, pool: Pool) -> EtcdStatus:
    """As ``status``, over an open pool."""
    return assemble(known.spec.name, pool.map(_read, known.spec.masters))


def _read(host: Host, connection: Connection) -> Answer:
    marker = entropy.marker()
    running = connection.run(fuse.read_program(words.sections(host), marker), deadline_s=READ_DEADLINE_S)
    found = {part.id: (part.exit_code, part.output.decode("utf-8", "replace")) for part in fuse.split(running.lines(), marker)}
    running.finish()
    return Answer(sections=found, metrics=metrics(connection))


def metrics(connection: Connection) -> str:
    """The member's own metrics; "" where it does not run, or where sshd forbids to dial: they are no reason to show nothing at all."""
    try:
        return http.get(connection, LOOPBACK, ports.ETCD_METRICS.number, "/metrics", timeout_s=10)
    except KbError:
        return ""


def assemble(cluster: str, outcomes: Mapping[str, Outcome[Answer]]) -> EtcdStatus:
    """The value of what the masters answered. Pure. The members' list is of whom follows a leader, if anybody does."""
    answers = answered(outcomes)
    members = tuple(_member(name, outcome) for name, outcome in outcomes.items())
    ranked = sorted((m for m in members if m.host in answers), key=lambda m: (not m.leader, bool(m.reason), -m.index))
    lists = [words.known(*answers[m.host].of("members")) for m in ranked]
    return EtcdStatus(
        cluster=cluster,
        members=members,
        known=next(filter(None, lists), ()),
        alarms=words.alarms(answer.of("status")[1] for answer in answers.values()),
    )


def _member(name: str, outcome: Outcome[Answer]) -> Member:
    if outcome.error is not None:
        return Member(host=name, reason=f"the host cannot be read: {outcome.error.message}")
    answer = outcome.get()
    return words.member(name, answer.of("unit")[1], *answer.of("status"), answer.metrics)
