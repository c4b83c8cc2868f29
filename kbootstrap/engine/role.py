"""``role.apply``: a role of the user's own on the hosts of an inventory, by the same way as a cluster: read, plan, ask, apply, read again.

It needs neither certificates nor artifacts nor a cluster. What it brings is recorded in a ledger of its own (``paths.role_ledger``), so the cluster
and other roles know nothing of it, and what the role no longer declares is taken away again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kbootstrap.catalog import paths
from kbootstrap.engine import gather
from kbootstrap.engine.apply import apply, raise_together
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.execute import execute
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import PreflightError, Problem, RoleError
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import HostPlan, Plan, Stage
from kbootstrap.model.resource import Service
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan import owner
from kbootstrap.plan.checks.gates import HEALTH
from kbootstrap.plan.compare import compare_stage, stale
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook import parse
from kbootstrap.rolebook.expand import World, applies, expand
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.store import state
from kbootstrap.store.lock import hold
from kbootstrap.store.role_folder import RoleFolder

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OF_CLUSTERS = ("certs", "kubeconfigs", "images", "manifests", "firewall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One read of the hosts and the plan that follows; *applied* once it was carried out."""

    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    plan: Plan
    applied: bool = False


def prepare(request: Request, folder: RoleFolder) -> tuple[Prepared, RoleDef]:
    """What the role wants of every host. UsageError, RoleError, TemplateError, InventoryError: all problems of the operator's side."""
    role = _role(folder)
    known = contact(request.folder)
    binaries = {arch: folder.binaries(arch) for arch in {host.arch for host in known.spec.hosts}}
    renderer = Renderer((folder.templates,))
    world = replace(known.world, renderer=renderer, binaries=binaries, variables=dict(role.vars))
    hosts = {host.name: {role.name: _wanted(world, role, host)} for host in known.spec.hosts}
    named = replace(known.state, cluster_id=known.state.cluster_id or state.new_id())
    return replace(known, state=named, world=world, desired=Desired(hosts=hosts)), role


def _role(folder: RoleFolder) -> RoleDef:
    role = parse.role(folder.text(), str(folder.role_yml))
    problems = [
        Problem(where=str(folder.role_yml), what=f"{key} is for the cluster's own roles", hint="cluster.up brings it.")
        for key in _OF_CLUSTERS
        if getattr(role, key)
    ]
    if not _NAME.fullmatch(role.name):
        problems.append(Problem(where=str(folder.role_yml), what=f"{role.name!r} is no name for a role", hint="Lower-case letters, digits, hyphens."))
    if role.health not in HEALTH:
        problems.append(Problem(where=str(folder.role_yml), what=f"no health gate is called {role.health!r}", hint=f"Known: {', '.join(HEALTH)}."))
    if problems:
        raise RoleError(f"{folder.root} cannot be applied by itself", problems=problems)
    return role


def _wanted(world: World, role: RoleDef, host: Host) -> Wanted:
    resources = tuple(expand(world, role, host)) if applies(role, world.spec, host) else ()
    units = [one.name for one in resources if isinstance(one, Service)]
    return Wanted(resources=resources, gates=(HEALTH[role.health](host, units),) if units else ())


def plan(request: Request, folder: RoleFolder) -> Look:
    """The dry run; a changed text file comes with what is there now."""
    prepared, role = prepare(request, folder)
    with request.connect(prepared) as pool:
        found = _look(request, prepared, pool, role)
        return replace(found, plan=gather.with_contents(found.plan, prepared.spec, pool))


def run(request: Request, folder: RoleFolder) -> Look:
    """Make it so, and prove it by another read. VerifyError when everything was applied and something is still different."""
    with hold(request.folder.root, "role.apply"):
        prepared, role = prepare(request, folder)
        with request.connect(prepared) as pool:
            first = _look(request, prepared, pool, role)
            if first.plan.empty or not request.confirm(first.plan):
                return first
            if not state.load(request.folder.state).cluster_id:
                state.save(request.folder.state, prepared.state)
            execute(
                request,
                prepared,
                pool,
                first,
                command="role.apply",
                look=lambda: _look(request, prepared, pool, role),
                work=lambda applying, now: raise_together(apply(applying, now.plan.stages)),
            )
        return replace(first, applied=True)


def _look(request: Request, prepared: Prepared, pool: Pool, role: RoleDef) -> Look:
    place = paths.role_ledger(role.name)
    hosts = [host for host in chosen(prepared.spec, request.limit) if applies(role, prepared.spec, host)]
    outcomes = pool.map(lambda _, connection: gather.read(connection, prepared.desired, deep=request.deep, ledger=place), hosts)
    raise_together(failures(outcomes))
    observed = answered(outcomes)
    ledgers = {name: ledger_of.parse(seen.ledger, name, path=place) for name, seen in observed.items()}
    _refuse(prepared, observed, ledgers)
    changes = {name: _changes(prepared.desired.hosts[name][role.name], prepared.desired, seen, ledgers[name]) for name, seen in observed.items()}
    stages = (Stage(name=role.name, hosts=tuple(one for one in changes.values() if one.changes)),) if any(c.changes for c in changes.values()) else ()
    return Look(observed=observed, ledgers=ledgers, plan=Plan(stages=stages))


def _changes(wanted: Wanted, desired: Desired, seen: Observed, ledger: Ledger) -> HostPlan:
    changes = (*stale(seen.host, desired, ledger), *compare_stage(seen.host, wanted, seen, ledger))
    started = any(change.key.startswith("service/") for change in changes)
    return HostPlan(host=seen.host, changes=changes, gates=wanted.gates if started else ())


def _refuse(prepared: Prepared, observed: Mapping[str, Observed], ledgers: Mapping[str, Ledger]) -> None:
    """PreflightError before anything is changed: what belongs to others, and programs for another architecture."""
    resources = {name: tuple(prepared.desired.resources(name)) for name in observed}
    problems = owner.taken(resources, {name: seen.kinds["owner"] for name, seen in observed.items()})
    for name, ledger in ledgers.items():
        if stranger := ledger_of.stranger(ledger, prepared.state.cluster_id):
            problems.append(Problem(where=name, what=stranger.what, hint="Use the inventory by which the role was applied there."))
    for name, seen in observed.items():
        if seen.facts.arch != prepared.spec.host(name).arch and any(one.kind == "binary" for one in resources[name]):
            what = f"is {seen.facts.arch}, and cluster.yml says {prepared.spec.host(name).arch}"
            problems.append(Problem(where=name, what=what, hint="Set arch of the host in cluster.yml."))
    if problems:
        raise PreflightError("the role cannot be applied; nothing was changed", problems=problems)
