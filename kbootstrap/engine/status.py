"""``cluster.status``: one look at every host, and what it means; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kbootstrap.engine.condition import Answer, Look, look
from kbootstrap.engine.contact import contact
from kbootstrap.engine.known_pki import KnownPki, ca_files_sha256, known_pki
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.reached import reached
from kbootstrap.engine.request import Request
from kbootstrap.errors import KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.status import Api, HostState, Member, NodeState, Status, Trouble
from kbootstrap.plan import condition, words
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.checks.finding import Context
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.troubles import strangers, troubles
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock


def status(request: Request) -> Status:
    """One look at the cluster of *request*'s folder. Raises InventoryError or RoleError; what is wrong with hosts is in the value."""
    known = contact(request.folder)
    with request.connect(known) as pool:
        return of(known, pool)


def of(known: Prepared, pool: Pool) -> Status:
    """The same, by connections that stand."""
    seen = look(known, pool)
    observed = {name: answer.observed(name) for name, answer in seen.answers.items()}
    return assemble(known, seen, observed, reached(known.spec, pool, observed), ours=known_pki(known.folder))


def assemble(known: Prepared, seen: Look, observed: Mapping[str, Observed], unreached: Iterable[Trouble], *, ours: KnownPki) -> Status:
    """The value of what the hosts answered. Pure but for the operator's clock, by which certificates expire."""
    hosts = tuple(_host(host, seen, observed) for host in known.spec.hosts)
    masters = [host.name for host in known.spec.masters]
    members = tuple(_member(name, seen.answers) for name in masters)
    ledgers, damaged = _ledgers(observed)
    context = Context(
        spec=known.spec,
        observed=observed,
        ledgers=ledgers,
        cluster_id=known.state.cluster_id,
        ca_sha256=ca_files_sha256(ours.pki),
        pki_error=ours.error,
        damaged=damaged,
    )
    strange = [each for name, answer in seen.answers.items() for each in strangers(name, answer.text("certificates"), ours.pki)]
    return Status(
        cluster=known.spec.name,
        kubernetes=known.spec.kubernetes,
        hosts=hosts,
        members=members,
        apis=tuple(_api(name, seen.answers) for name in masters),
        nodes=_nodes(known.spec, [seen.answers[name] for name in masters if name in seen.answers]),
        troubles=(*_at_work(seen.answers), *troubles(context, hosts, members), *strange, *unreached),
    )


def _at_work(answers: Mapping[str, Answer]) -> Iterator[Trouble]:
    """A host that another run holds may be as it is for a moment only."""
    runs = dict[str, list[str]]()
    for name, answer in answers.items():
        if run := answer.run:
            runs.setdefault(run, []).append(name)
    for run, names in runs.items():
        hint = "What is not well there may be its doing: invoke cluster.status once it has ended."
        yield Trouble(id="at-work", where=", ".join(names), what=f"another run is at work: {run}", hint=hint, warning=True)


def _ledgers(observed: Mapping[str, Observed]) -> tuple[dict[str, Ledger], dict[str, KbError]]:
    ledgers, damaged = dict[str, Ledger](), dict[str, KbError]()
    for name, seen in observed.items():
        try:
            ledgers[name] = ledger_of.parse(seen.ledger, name)
        except KbError as error:
            damaged[name] = error
    return ledgers, damaged


def _host(host: Host, seen: Look, observed: Mapping[str, Observed]) -> HostState:
    roles_ = tuple(sorted(role.value for role in host.roles))
    if host.name not in seen.answers:
        error = seen.errors.get(host.name)
        return HostState(name=host.name, roles=roles_, reason=error.message if error else "it was not asked", hint=error.hint if error else "")
    answer, said = seen.answers[host.name], observed[host.name].facts
    up_s, disks = condition.machine(answer.text("machine"))
    return HostState(
        name=host.name,
        roles=roles_,
        os=said.os,
        kernel=said.kernel,
        up_s=up_s,
        clock_s=round(said.clock_s, 1),
        certificate=condition.certificate(answer.text("certificates"), clock.now()),
        disks=disks,
        units=condition.units(host.name, answer.text("units"), seen.wanted[host.name], words.parse(answer.text("words")), run=answer.run),
    )


def _member(name: str, answers: Mapping[str, Answer]) -> Member:
    if name not in answers:
        return Member(host=name, reason="the host cannot be read")
    return condition.member(name, *answers[name].sections.get("etcd", (1, "")))


def _api(name: str, answers: Mapping[str, Answer]) -> Api:
    if name not in answers:
        return Api(host=name, reason="the host cannot be read")
    return condition.api(name, *answers[name].sections.get("readyz", (1, "")))


def _nodes(spec: ClusterSpec, masters: Sequence[Answer]) -> tuple[NodeState, ...]:
    """As the first API server tells that answers; every host of the inventory has a row then."""
    for answer in masters:
        code, output = answer.sections.get("nodes", (1, ""))
        if code == 0:
            found = condition.nodes(output)
            return tuple(found.get(host.name, NodeState(name=host.name, status="absent")) for host in spec.hosts)
    return ()
