"""``cluster.status``: one read per host, all at once, that bears hosts which are down and an API that does not answer; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename

from kbootstrap.catalog import releases
from kbootstrap.engine.contact import ca_sha256, contact
from kbootstrap.engine.prepare import Prepared, roles, versions
from kbootstrap.engine.run import Request
from kbootstrap.errors import KbError
from kbootstrap.model.cluster import ClusterSpec, Host
from kbootstrap.model.facts import Observed
from kbootstrap.plan import condition, facts
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.checks import preflight
from kbootstrap.plan.checks.finding import Context
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Outcome
from kbootstrap.report.status import CERTIFICATE_SOON_D, DISK_FULL_PERCENT, Api, HostState, Member, NodeState, Status, Trouble
from kbootstrap.rolebook.expand import applies
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.store import clock, entropy

READ_DEADLINE_S = 60.0
Wanted = Mapping[str, str]  # unit → version of its program, "" where none is compared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one host said: section → (exit code, output)."""

    sections: Mapping[str, tuple[int, str]]
    epoch_s: float

    def text(self, section: str) -> str:
        return self.sections.get(section, (1, ""))[1]


def status(request: Request) -> Status:
    """One look at the cluster of *request*'s folder. Raises InventoryError or RoleError; what is wrong with hosts is in the value."""
    known = contact(request.folder)
    defined = roles()
    wanted = {host.name: _wanted(known.spec, host, defined) for host in known.spec.hosts}
    with request.connect(known) as pool:
        outcomes = pool.map(lambda host, connection: _read(connection, host, wanted[host.name]))
    return assemble(known, wanted, outcomes, ca_sha256=ca_sha256(request.folder))


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


def _read(connection: Connection, host: Host, wanted: Wanted) -> _Answer:
    marker = entropy.marker()
    asked = condition.sections(host, tuple(wanted), tuple(unit for unit, version in wanted.items() if version))
    began, epoch_s = clock.monotonic_s(), clock.epoch_s()
    running = connection.run(fuse.read_program(asked, marker), deadline_s=READ_DEADLINE_S)
    found, first_s = {}, 0.0
    for section in fuse.split(running.lines(), marker):
        first_s = first_s or clock.monotonic_s() - began
        found[section.id] = (section.exit_code, section.output.decode("utf-8", "replace"))
    running.finish()
    return _Answer(sections=found, epoch_s=epoch_s + first_s / 2)


def assemble(known: Prepared, wanted: Mapping[str, Wanted], outcomes: Mapping[str, Outcome[_Answer]], *, ca_sha256: Sequence[str]) -> Status:
    """The value of what the hosts answered. Pure but for the operator's clock, by which certificates expire."""
    answers = {name: outcome.get() for name, outcome in outcomes.items() if outcome.error is None}
    errors = {name: outcome.error for name, outcome in outcomes.items() if outcome.error is not None}
    observed = {name: _observed(name, answer) for name, answer in answers.items()}
    hosts = tuple(_host(host, wanted[host.name], answers, observed, errors) for host in known.spec.hosts)
    masters = [host.name for host in known.spec.masters]
    return Status(
        cluster=known.spec.name,
        kubernetes=known.spec.kubernetes,
        hosts=hosts,
        members=tuple(_member(name, answers) for name in masters),
        apis=tuple(_api(name, answers) for name in masters),
        nodes=_nodes(known.spec, [answers[name] for name in masters if name in answers]),
        troubles=tuple(_troubles(known, hosts, observed, ca_sha256)),
    )


def _observed(host: str, answer: _Answer) -> Observed:
    return Observed(host=host, facts=facts.parse(answer.text("facts"), now_s=answer.epoch_s), ledger=answer.text("ledger"))


def _host(host: Host, wanted: Wanted, answers: Mapping[str, _Answer], observed: Mapping[str, Observed], errors: Mapping[str, KbError]) -> HostState:
    roles_ = tuple(sorted(role.value for role in host.roles))
    if host.name in errors:
        error = errors[host.name]
        return HostState(name=host.name, roles=roles_, reason=error.message, hint=error.hint)
    answer, seen = answers[host.name], observed[host.name].facts
    up_s, disks = condition.machine(answer.text("machine"))
    return HostState(
        name=host.name,
        roles=roles_,
        os=seen.os,
        kernel=seen.kernel,
        up_s=up_s,
        clock_s=round(seen.clock_s, 1),
        certificate=condition.certificate(answer.text("certificates"), clock.now()),
        disks=disks,
        units=condition.units(host.name, answer.text("units"), wanted),
    )


def _member(name: str, answers: Mapping[str, _Answer]) -> Member:
    if name not in answers:
        return Member(host=name, reason="the host cannot be read")
    return condition.member(name, *answers[name].sections.get("etcd", (1, "")))


def _api(name: str, answers: Mapping[str, _Answer]) -> Api:
    if name not in answers:
        return Api(host=name, reason="the host cannot be read")
    return condition.api(name, *answers[name].sections.get("readyz", (1, "")))


def _nodes(spec: ClusterSpec, masters: Sequence[_Answer]) -> tuple[NodeState, ...]:
    """As the first API server tells that answers; every host of the inventory has a row then."""
    for answer in masters:
        code, output = answer.sections.get("nodes", (1, ""))
        if code == 0:
            found = condition.nodes(output)
            return tuple(found.get(host.name, NodeState(name=host.name, status="absent")) for host in spec.hosts)
    return ()


def _troubles(known: Prepared, hosts: Sequence[HostState], observed: Mapping[str, Observed], ca_sha256: Sequence[str]) -> Iterator[Trouble]:
    """The usual causes of a cluster's death: what preflight would refuse now, full disks, certificates at their end, a lost quorum."""
    ledgers: dict[str, Ledger] = {}
    for name, seen in observed.items():
        try:
            ledgers[name] = ledger_of.parse(seen.ledger, name)
        except KbError as error:
            ledgers[name] = Ledger()
            yield Trouble(where=name, what=error.message, hint=error.hint)
    context = Context(spec=known.spec, observed=observed, ledgers=ledgers, cluster_id=known.state.cluster_id, ca_sha256=ca_sha256)
    for finding in preflight(context):
        if not finding.waived:
            yield Trouble(where=finding.host, what=finding.what, hint=finding.hint, warning=finding.warning)
    for host in hosts:
        yield from _of_host(host)
    alive = sum(name in observed for name in (host.name for host in known.spec.masters))
    if alive <= len(known.spec.masters) // 2:
        what = f"{alive} of {len(known.spec.masters)} masters can be read: without a majority etcd serves nothing"
        yield Trouble(where="cluster", what=what, hint="Bring masters back; their data is on their disks.")


def _of_host(host: HostState) -> Iterator[Trouble]:
    for mount, used in host.disks.items():
        if used >= DISK_FULL_PERCENT:
            hint = f"On {host.name}: du -xh --max-depth=2 {mount} | sort -h | tail. etcd stops writing on a full disk, kubelet evicts pods."
            yield Trouble(where=host.name, what=f"{mount} is {used} % full", hint=hint, warning=used < 98)
    if host.certificate is not None and host.certificate.days_left < CERTIFICATE_SOON_D:
        left = host.certificate.days_left
        what = f"{host.certificate.path} {'expired' if left <= 0 else 'expires'} {abs(left):.0f} days {'ago' if left <= 0 else 'from now'}"
        yield Trouble(where=host.name, what=what, hint="invoke cluster.up issues what is about to expire.", warning=left > 0)
