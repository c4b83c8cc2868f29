"""The story of ``cluster.up`` on one page: prepare, read, check, plan, ask, apply, verify.

Everything before ``apply`` changes nothing on any host. What a dry run is stands here and nowhere else: stop after the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kbootstrap.engine import api, bindings, confirm, endpoint, etcd, etcd_members, flow, gather, health, ports, preflight, versions, workload
from kbootstrap.engine.apply import Applying, apply, raise_together
from kbootstrap.engine.execute import execute
from kbootstrap.engine.prepare import prepare
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import span
from kbootstrap.errors import KbError, Problem, UsageError
from kbootstrap.model.facts import Observed
from kbootstrap.model.finding import Finding
from kbootstrap.model.plan import CLUSTER, Plan, Stage
from kbootstrap.model.report import Result
from kbootstrap.plan import build, order
from kbootstrap.plan.etcd_orders import Order
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import FIREWALL
from kbootstrap.remote.pool import Pool
from kbootstrap.store import operator_kubeconfig
from kbootstrap.store.lock import hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One look at everything: what was read, what was found unfit, and the plan that follows."""

    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    findings: tuple[Finding, ...]
    plan: Plan
    live: Mapping[str, Any] | None
    leader: str = ""
    left_out: tuple[Problem, ...] = ()  # workers that could not be read
    told: tuple[Order, ...] = ()  # what members of etcd without data are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run did and found. *applied* is empty for a dry run, a refusal, and when nothing was to be done."""

    prepared: Prepared
    picture: Picture
    applied: bool
    results: tuple[Result, ...] = ()


def look(request: Request, prepared: Prepared, pool: Pool, *, again: bool = False) -> Picture:
    """One read per host, the preflight of all hosts at once, and the plan. PreflightError or ConnectError lists every host's problems.

    *again*: what is dear to ask was asked a moment ago, and warnings were said.
    """
    fit = preflight.require(request, prepared, pool, again=again)
    observed, found = fit.observed, fit.ledgers
    _refuse_unknown(request.only, prepared, found)
    with span(request.listener, "ask the API"):
        leader, live = api.ask(prepared, pool, observed, request.listener)
    plan = build.plan(prepared.desired, observed, found, live, only=request.only, limited=bool(request.limit))
    plan, told = etcd_members.ordered(prepared, pool, observed, plan, only=request.only)
    return Picture(observed=observed, ledgers=found, findings=fit.findings, plan=plan, live=live, leader=leader, left_out=fit.left_out, told=told)


def _refuse_unknown(only: tuple[str, ...], prepared: Prepared, ledgers_: Mapping[str, Ledger]) -> None:
    """UsageError for an id that names nothing: «nothing to do» would look like success."""
    keys = {(host, resource.key) for host in ledgers_ for resource in prepared.desired.resources(host)}
    keys |= {(host, key) for host, one in ledgers_.items() for key in one.entries} | {(CLUSTER, r.key) for r in prepared.desired.cluster}
    known = {key for _, key in keys} | {f"{host}:{key}" for host, key in keys}
    if unknown := [name for name in only if name not in known]:
        raise UsageError(f"--only: there is no {', '.join(unknown)}", hint="Ids are as cluster.plan shows them: m1:/etc/x, or /etc/x for all hosts.")


def plan(request: Request) -> Outcome:
    """The dry run: certificates that are missing are issued into memory, nothing is written anywhere."""
    prepared = prepare(request.folder, request.listener, dry=True)
    with request.connect(prepared) as pool:
        picture = look(request, prepared, pool)
        versions.unchanged(prepared, pool, picture.plan, picture.ledgers)
        picture = replace(picture, plan=gather.with_contents(picture.plan, prepared.spec, pool))
        return Outcome(prepared=prepared, picture=picture, applied=False)


def up(request: Request) -> Outcome:
    """Make it so, and prove it. VerifyError when everything was applied and the cluster is still not as desired."""
    with hold(request.folder.root, "cluster.up"):
        prepared = prepare(request.folder, request.listener, dry=False)
        with request.connect(prepared) as pool:
            picture = look(request, prepared, pool)
            if picture.plan.empty:
                _hand_over(prepared, picture)
                results = _checked(request, prepared, pool, picture, full=False, settle=True)
                return Outcome(prepared=prepared, picture=picture, applied=False, results=results)
            bindings.require(prepared, picture.plan)
            versions.unchanged(prepared, pool, picture.plan, picture.ledgers)
            endpoint.require(prepared, pool, picture.plan)
            if not _opens(picture):
                _reachable(request, prepared, pool, picture)
            if not request.confirm(picture.plan):
                return Outcome(prepared=prepared, picture=picture, applied=False)
            after = execute(
                request,
                prepared,
                pool,
                picture,
                command="cluster.up",
                look=lambda: look(request, prepared, pool, again=True),
                work=lambda applying, now: _work(request, prepared, applying, now),
            )
            _hand_over(prepared, after)
            endpoint.tell(request.listener, prepared, picture.plan)
            results = _checked(request, prepared, pool, after, full=True, settle=True)
            return Outcome(prepared=prepared, picture=picture, applied=True, results=results)


def verify(request: Request) -> Outcome:
    """Read everything again; the plan must be empty, and the cluster must serve: DNS, pod to pod, services, certificates."""
    prepared = prepare(request.folder, request.listener, dry=True)
    with request.connect(prepared) as pool:
        picture = look(request, prepared, pool)
        results = _checked(request, prepared, pool, picture, full=True, settle=False)
        return Outcome(prepared=prepared, picture=picture, applied=False, results=results)


def _hand_over(prepared: Prepared, picture: Picture) -> None:
    """The operator's admin.conf, once there is an API: a new file selects a master that answers, one that is there keeps its choice."""
    path = prepared.folder.admin_conf
    if picture.live is not None:
        operator_kubeconfig.write(path, prepared.spec, prepared.pki, current="" if path.exists() else picture.leader)


def _work(request: Request, prepared: Prepared, applying: Applying, picture: Picture) -> None:
    """The stages; the API comes last."""
    way = flow.apply if flow.fresh(list(picture.observed.values())) and not etcd_members.joins(picture.told) else apply
    stages: Sequence[Stage] = picture.plan.stages
    if way is apply:
        stages = etcd.paced(prepared, applying.pool, request.listener, order.files_first(stages))
    if _opens(picture):
        until = next(number for number, stage in enumerate(stages, 1) if stage.name == FIREWALL)
        raise_together(apply(applying, stages[:until]))
        _reachable(request, prepared, applying.pool, picture)
        stages = stages[until:]
    errors = way(applying, stages)
    failed = frozenset(error.host for error in errors)
    try:
        if not any(prepared.spec.host(name).is_master for name in failed):  # a worker's failure keeps no other from a working cluster
            api.apply(prepared, applying.pool, request.listener, picture.plan, without=failed)
    except KbError:
        raise_together(errors)
        raise
    raise_together(errors)
    etcd_members.refuse_waiting(picture.told)


def _opens(picture: Picture) -> bool:
    """Whether a firewall that drops is about to be opened: then what it drops now is no reason to refuse."""
    return any(confirm.needed(change) for change in picture.plan.changes())


def _reachable(request: Request, prepared: Prepared, pool: Pool, picture: Picture) -> None:
    """The matrix of hosts where nothing of ours runs yet, proven before anything is installed there. PreflightError names every pair."""
    fresh = [name for name, seen in picture.observed.items() if flow.fresh([seen])]
    if not request.only:
        ports.require(prepared.spec, pool, request.listener, read=picture.observed.keys(), fresh=fresh)


def _checked(request: Request, prepared: Prepared, pool: Pool, picture: Picture, *, full: bool, settle: bool) -> tuple[Result, ...]:
    """*full*: the workload too; *settle*: wait for what may still be on its way, which after a change is everything."""
    names = list(picture.observed)
    results = [Result(check="reachable", where=p.where, ok=False, detail=p.what, hint=p.hint) for p in picture.left_out]
    with span(request.listener, "health of the hosts"):
        results += (health.settled if settle else health.hosts)(prepared, pool, names)
    with span(request.listener, "nodes ready"):
        results += api.wait_ready(prepared, pool, picture.live, names, patient=settle and (full or api.settling(picture.live, names)))
    if full and not request.limit and all(result.ok for result in results):  # otherwise it would only repeat, slowly, what is known
        results += workload.check(prepared, pool, request.listener)
    return tuple(results)
