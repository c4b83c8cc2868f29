"""One look at a cluster as it runs: a read of every host, all at once, that bears hosts which are down and an API that does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import basename

from kbootstrap.catalog import releases
from kbootstrap.engine.prepare import roles, versions
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.plan import condition, facts, survey
from kbootstrap.remote import fuse, lock
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered, failed
from kbootstrap.resources import KINDS
from kbootstrap.rolebook.expand import applies
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.store import clock, entropy

READ_DEADLINE_S = 60.0
Wanted = Mapping[str, str]  # unit → version of its program, "" where none is compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one host said: section → (exit code, output)."""

    sections: Mapping[str, tuple[int, str]]
    epoch_s: float

    def text(self, section: str) -> str:
        return self.sections.get(section, (1, ""))[1]

    @property
    def run(self) -> str:
        """Another run that is at work on this host, in its own words; "" where there is none."""
        owner = lock.holder(self.text("lock").encode())
        return "" if owner is None or owner.is_me else str(owner)

    def observed(self, host: str) -> Observed:
        """What of it the checks of the preflight judge."""
        return Observed(
            host=host,
            facts=facts.parse(self.text("facts"), now_s=self.epoch_s),
            survey=survey.parse(self.text("survey")),
            ledger=self.text("ledger"),
            kinds={"firewall": KINDS["firewall"].parse(self.text("firewall"))} if self.text("firewall") else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """*wanted*: host → its units; *errors* of hosts that could not be read."""

    wanted: Mapping[str, Wanted]
    answers: Mapping[str, Answer]
    errors: Mapping[str, KbError] = field(default_factory=dict)


def look(known: Prepared, pool: Pool) -> Look:
    """Ask every host of the inventory. Raises RoleError; what is wrong with hosts is in the value."""
    wanted = units(known.spec)
    outcomes = pool.map(lambda host, connection: _read(connection, known.spec, host, wanted[host.name]))
    answers = answered(outcomes)
    return Look(wanted=wanted, answers=answers, errors=failed(outcomes))


def units(spec: ClusterSpec) -> dict[str, Wanted]:
    """Host → the units that its roles want."""
    defined = roles()
    return {host.name: _wanted(spec, host, defined) for host in spec.hosts}


def _wanted(spec: ClusterSpec, host: Host, defined: Mapping[str, RoleDef]) -> dict[str, str]:
    """The units of *host* and the versions of those whose own program is an artifact; a unit's program is its role's first binary."""
    of = versions(spec)
    found = {}
    for role in defined.values():
        if applies(role, spec, host):
            for service in role.services:
                mine = [b for b in role.binaries if basename(b.target) == service.unit.removesuffix(".service")]
                found[service.unit] = of[releases.component_of(mine[0].name)] if mine else ""
    return found


def _read(connection: Connection, spec: ClusterSpec, host: Host, wanted: Wanted) -> Answer:
    versioned = tuple(unit for unit, version in wanted.items() if version)
    asked = [*condition.sections(host, tuple(wanted), versioned, survey=survey.living(spec, host)), ("lock", lock.probe())]
    found, first_s = dict[str, tuple[int, str]](), 0.0
    marker = entropy.marker()
    began, epoch_s = clock.monotonic_s(), clock.epoch_s()
    running = connection.run(fuse.read_program(asked, marker), deadline_s=READ_DEADLINE_S)
    for section in fuse.split(running.lines(), marker):
        first_s = first_s or clock.monotonic_s() - began
        found[section.id] = (section.exit_code, section.output.decode("utf-8", "replace"))
    running.finish()
    return Answer(sections=found, epoch_s=epoch_s + first_s / 2)
