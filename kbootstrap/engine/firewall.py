"""The stage FIREWALL alone: ``firewall.show``, ``plan``, ``apply``, ``remove``. It needs neither certificates nor artifacts, so it works on hosts
and with operators that have nothing yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kbootstrap.catalog import paths
from kbootstrap.engine import gather
from kbootstrap.engine.apply import apply, raise_together, write_ledger
from kbootstrap.engine.cluster import one
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.down import AGAIN
from kbootstrap.engine.execute import execute
from kbootstrap.engine.prepare import roles
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, PreflightError, Problem
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Plan
from kbootstrap.model.resource import Package
from kbootstrap.plan import build
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.leaving import FORGET
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import FIREWALL, STAGES, StageDef
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Outcome, Pool, answered, failures
from kbootstrap.render.env import Renderer
from kbootstrap.resources import firewall
from kbootstrap.resources.firewall import script
from kbootstrap.resources.firewall.look import Seen
from kbootstrap.rolebook.expand import World, applies, expand, ground
from kbootstrap.rolebook.openings import NAME, openings
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.store import assets, state
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold

UNIT = "kb-firewall.service"
_CLOSE = (
    f"! systemctl cat {UNIT} >/dev/null 2>&1 || systemctl --quiet disable --now {UNIT}\n"
    f"{firewall.CLOSE}rm -f -- {paths.unit(UNIT)} {paths.started(UNIT)}\nsystemctl daemon-reload\n"
)
_KEYS = (f"firewall/{NAME}", f"service/{UNIT}", paths.unit(UNIT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A host's firewall: what filters, whether ours is in it, what it must let in. *lacks* are the reasons why it is not as wanted."""

    host: Host
    seen: Seen
    wanted: tuple[str, ...]
    lacks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One read of the hosts and the plan that follows. *left_out* are hosts that could not be read, where that is no reason to stop."""

    prepared: Prepared
    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    plan: Plan
    applied: bool = False
    left_out: tuple[Problem, ...] = ()


def prepare(folder: Folder) -> Prepared:
    """Everything that the stage wants of every host. Of the other stages only what a ledger must know from the beginning: what was there before."""
    known = contact(folder)
    complete = state.complete(known.state, known.spec)
    none = {host.arch: {"pause": ("", None), "coredns": ("", None)} for host in known.spec.hosts}
    renderer = Renderer((folder.overrides, assets.folder("templates")))
    world = replace(known.world, renderer=renderer, pod_ranges=complete.pod_ranges, images=none)
    defined = roles()
    hosts = {host.name: {stage.name: _wanted(world, defined, stage, host) for stage in STAGES} for host in known.spec.hosts}
    return replace(known, state=complete, world=world, desired=Desired(hosts=hosts))


def _wanted(world: World, defined: Mapping[str, RoleDef], stage: StageDef, host: Host) -> Wanted:
    mine = [defined[name] for name in stage.roles if applies(defined[name], world.spec, host)]
    if stage.name == FIREWALL:
        return Wanted(resources=tuple(resource for role in mine for resource in expand(world, role, host)))
    return Wanted(resources=tuple(resource for role in mine for resource in ground(role) if not isinstance(resource, Package)))


def show(request: Request) -> tuple[tuple[Shown, ...], tuple[Problem, ...]]:
    """What is active on each host, what of ours is in it, what the matrix opens; and the hosts that could not be read."""
    found = plan(request)
    shown = tuple(_shown(found.prepared, found.prepared.spec.host(name), seen) for name, seen in found.observed.items())
    return shown, found.left_out


def _shown(prepared: Prepared, host: Host, observed: Observed) -> Shown:
    want = replace(openings(prepared.spec, host), opens=True)
    seen: Seen = observed.kinds["firewall"][NAME]
    difference = firewall.diff(want, seen)
    rules = script.complete(want, seen.ssh_ports).rules
    return Shown(host=host, seen=seen, wanted=tuple(map(str, rules)), lacks=difference.reason if difference else "")


def plan(request: Request) -> Look:
    """The dry run, of the hosts that can be read."""
    prepared = prepare(request.folder)
    with request.connect(prepared) as pool:
        return _look(request, prepared, pool, whole=False)


def run(request: Request) -> Look:
    """Open, and prove by another read that it is so. ApplyError when a host took its change back; VerifyError when it is still not as wanted."""
    with hold(request.folder.root, "firewall.apply"):
        prepared = prepare(request.folder)
        if prepared.state != state.load(request.folder.state):
            state.save(request.folder.state, prepared.state)
        with request.connect(prepared) as pool:
            first = _look(request, prepared, pool)
            if first.plan.empty or not request.confirm(first.plan):
                return first
            execute(
                request,
                prepared,
                pool,
                first,
                command="firewall.apply",
                look=lambda: _look(request, prepared, pool),
                work=lambda applying, now: raise_together(apply(applying, now.plan.stages)),
            )
        return replace(first, applied=True)


def _look(request: Request, prepared: Prepared, pool: Pool, *, whole: bool = True) -> Look:
    """*whole*: ApplyError when a host cannot be read."""
    outcomes = pool.map(lambda _, c: gather.read(c, prepared.desired), chosen(prepared.spec, request.limit))
    if whole:
        _raise(outcomes)
    observed = answered(outcomes)
    left_out = tuple(Problem(where=n, what=o.error.message, hint=o.error.hint) for n, o in outcomes.items() if o.error is not None)
    found = {name: _own(prepared, name, ledger_of.parse(seen.ledger, name)) for name, seen in observed.items()}
    wanted = build.plan(prepared.desired, observed, found, None, only=_KEYS)
    return Look(prepared=prepared, observed=observed, ledgers=found, plan=wanted, left_out=left_out)


def _own(prepared: Prepared, host: str, ledger: Ledger) -> Ledger:
    if stranger := ledger_of.stranger(ledger, prepared.state.cluster_id):
        raise PreflightError(stranger.what, host=host, hint=stranger.hint)
    return ledger


def _raise(outcomes: Mapping[str, Outcome[Any]]) -> None:
    raise_together(failures(outcomes))


def remove(request: Request) -> Iterator[str]:
    """Take away our rules and what keeps them there, on all or the chosen hosts; a line per host. What others wrote stays as it is."""
    with hold(request.folder.root, "firewall.remove"):
        prepared = contact(request.folder)
        with request.connect(prepared) as pool:
            outcomes = pool.map(lambda host, c: _close(request, prepared, host, c), chosen(prepared.spec, request.limit))
        for name, outcome in outcomes.items():
            if outcome.error is None:
                yield f"{name}: {outcome.get()}"
        _raise(outcomes)


def _close(request: Request, prepared: Prepared, host: Host, connection: Connection) -> str:
    with hold_host(connection, Owner.here("firewall.remove"), take=request.take_lock):
        _, text, _ = one(connection, f"[ ! -e {paths.LEDGER} ] || cat {paths.LEDGER}\n")
        ledger = _own(prepared, host.name, ledger_of.parse(text.decode("utf-8", "replace"), host.name))
        if not any(key in ledger.entries for key in _KEYS):
            return "nothing of ours was there"
        code, output, stderr = one(connection, f"set -e\n{_CLOSE}", deadline_s=120)
        if code != 0:
            raise ApplyError(f"our rules do not go: {(output.decode('utf-8', 'replace') + stderr).strip()[-500:]}", host=host.name, hint=AGAIN)
        left = {key: entry for key, entry in ledger.entries.items() if key not in _KEYS}
        if any(entry["kind"] in ("file", "service") for entry in left.values()):
            write_ledger(connection, replace(ledger, entries=left), request.listener)
        else:
            one(connection, FORGET)
    said = output.decode("utf-8", "replace").strip()
    return f"our rules are gone{f'; {said}' if said else ''}"
