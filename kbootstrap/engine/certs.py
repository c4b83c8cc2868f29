"""A changed PKI brought to the hosts, and nothing else with it: ``certs.renew``, and each phase of ``certs.rotate``.

It needs no artifacts, no API server, and no certificate that is still valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kbootstrap.engine import api, etcd, health, preflight
from kbootstrap.engine.apply import Applying, apply, raise_together
from kbootstrap.engine.certs_check import issued as issued_of
from kbootstrap.engine.contact import contact
from kbootstrap.engine.execute import execute
from kbootstrap.engine.nodes import node
from kbootstrap.engine.prepare import roles, stages
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import Problem
from kbootstrap.model.desired import Desired
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.facts import Observed
from kbootstrap.model.pki import Issued, Pki
from kbootstrap.model.plan import Plan
from kbootstrap.model.report import Result
from kbootstrap.pki import issue, select
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import build, order
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.pool import Pool
from kbootstrap.rolebook.expand import of_pki
from kbootstrap.store import clock, operator_kubeconfig, pki_dir, state
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold

CHECKS = ("cluster-marker", "clock", "encryption-key")  # of the preflight: everything else is no reason to let certificates expire
WAY_OUT = "Mend them; or `invoke certs.renew --host …` names just those that it is about, and of masters one after the other."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which certificates are issued whatever their age; nothing at all: those that are due."""

    hosts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    every: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at the hosts that the cluster was installed on, and what a PKI changes there. *left_out* are workers that could not be read."""

    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    plan: Plan
    left_out: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was to be done (``prepared.issued`` are the signatures), whether it was, and whether the cluster is well."""

    prepared: Prepared
    plan: Plan
    applied: bool
    results: tuple[Result, ...] = ()

    @property
    def empty(self) -> bool:
        return self.plan.empty and not self.prepared.issued


def renew(request: Request, asked: Asked, *, dry: bool = False) -> Outcome:
    """Issue what is due, or what is *asked* for, and bring it to the hosts. Nothing is written anywhere before the user said yes to the plan."""
    with hold(request.folder.root, "certs.renew"):
        return bring(request, _renewed(request.folder, asked), command="certs.renew", dry=dry)


def bring(request: Request, prepared: Prepared, *, command: str, dry: bool = False) -> Outcome:
    """What *prepared* wants of the hosts, shown, agreed to, saved and installed; the caller holds the cluster's lock."""
    with request.connect(prepared) as pool:
        found = look(request, prepared, pool)
        tell(request.listener, prepared.issued, verb="to issue")
        outcome = Outcome(prepared=prepared, plan=found.plan, applied=False)
        if dry:
            return outcome
        if outcome.empty:
            return replace(outcome, results=checked(prepared, pool, found))
        if not request.confirm(found.plan):
            return outcome
        pki_dir.save(request.folder.pki, prepared.pki, prepared.issued)
        return replace(outcome, applied=True, results=install(request, prepared, pool, found, command=command))


def tell(listener: Listener, issued: Iterable[Issued], *, verb: str) -> None:
    """What was signed: a line for each kind and reason. *verb* tells whether it is kept already."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in issued:
        host, _, name = each.id.rpartition("/")
        found.setdefault((name, each.reason), []).append(host or "the cluster")
    for (name, reason), hosts in found.items():
        listener(Note(text=f"{verb}: {name} of {', '.join(hosts)} ({reason})"))


def _renewed(folder: Folder, asked: Asked) -> Prepared:
    known = contact(folder)
    table, before = profiles(known.spec), issued_of(folder)
    chosen = select.chosen(table, hosts=asked.hosts, names=asked.names) if asked.hosts or asked.names or asked.every else ()
    anew = {profile.id for profile in chosen}
    wanted = [profile for profile in table if not anew or profile.id in anew or profile.id not in before.pairs]
    pki, issued = issue.complete(before, wanted, now=clock.now(), certificates=known.spec.certificates, entropy=SystemEntropy(), anew=anew)
    return wants(known, pki, issued)


def wants(known: Prepared, pki: Pki, issued: tuple[Issued, ...] = ()) -> Prepared:
    """*known* with *pki*, and all that it decides on the hosts."""
    world, defined = replace(known.world, pki=pki), roles()
    ranges = state.complete(known.state, known.spec).pod_ranges
    hosts = {host.name: stages(world, defined, host, of_pki) for host in known.spec.hosts}
    nodes = tuple(node(known.spec, host, ranges[host.name]) for host in known.spec.hosts)
    return replace(known, pki=pki, issued=issued, world=world, desired=Desired(hosts=hosts, cluster=nodes))


def look(request: Request, prepared: Prepared, pool: Pool, *, again: bool = False) -> Look:
    """Read the hosts. PreflightError for one of another cluster; one that nothing was installed on is left to ``cluster.up``."""
    fit = preflight.require(request, prepared, pool, again=again, only=CHECKS, way_out=WAY_OUT)
    for name in (name for name, ledger in fit.ledgers.items() if ledger.empty and not again):
        request.listener(Note(host=name, text="left out: nothing of the cluster is there yet. `invoke cluster.up` brings it", warning=True))
    observed = {name: seen for name, seen in fit.observed.items() if not fit.ledgers[name].empty}
    keys = {resource.key for name in observed for resource in prepared.desired.resources(name)}
    plan = build.plan(prepared.desired, observed, fit.ledgers, None, only=tuple(keys)) if keys else Plan(stages=())
    return Look(observed=observed, ledgers=fit.ledgers, plan=Plan(stages=order.files_first(plan.stages)), left_out=fit.left_out)


def install(request: Request, prepared: Prepared, pool: Pool, agreed: Look, *, command: str) -> tuple[Result, ...]:
    """Do what was *agreed* to, then ask again what is really served. The operator's own kubeconfig follows."""

    def work(applying: Applying, now: Look) -> None:
        raise_together(apply(applying, etcd.paced(prepared, pool, request.listener, now.plan.stages)))

    after = agreed
    if not agreed.plan.empty:
        after = execute(request, prepared, pool, agreed, command=command, look=lambda: look(request, prepared, pool, again=True), work=work)
    if (path := prepared.folder.admin_conf).exists():
        operator_kubeconfig.write(path, prepared.spec, prepared.pki)
    return checked(prepared, pool, after)


def checked(prepared: Prepared, pool: Pool, seen: Look) -> tuple[Result, ...]:
    """etcd, API servers, nodes, and the certificates really served."""
    names = list(seen.observed)
    results = [Result(check="reachable", where=p.where, ok=False, detail=p.what, hint=p.hint) for p in seen.left_out]
    results += health.settled(prepared, pool, names)
    return (*results, *api.wait_ready(prepared, pool, None, names, patient=True))
