"""Execute a plan: stage by stage, one stream per host and stage, hosts together or one after the other, health gates behind.

A failure stops its host; no later stage starts when that host counts for quorum. Nothing is rolled back: mend the cause and run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from kbootstrap.catalog import paths
from kbootstrap.engine import confirm, timing
from kbootstrap.engine.push import AGAIN, Push
from kbootstrap.errors import ApplyError, KbError, counted
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.events import ChangeFinished, ChangeStarted, Listener
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import CLUSTER, Action, Change, Gate, HostPlan, Plan, Stage
from kbootstrap.model.resource import File
from kbootstrap.plan import batch
from kbootstrap.plan.batch import Step
from kbootstrap.plan.ledger import Ledger, forget, record
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import HostLock
from kbootstrap.remote.pool import Pool, failures
from kbootstrap.resources import file as file_kind
from kbootstrap.resources.difference import Difference
from kbootstrap.store import clock, entropy

# What was moved into place must lie on the disk before anything counts as well: a power cut may leave an empty file behind a rename.
_SYNC = f"for d in {paths.BIN} {paths.CNI_BIN}; do [ ! -d $d ] || sync -f $d; done\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """What every stage needs: *ledgers* are the complete ones that each host gets before its first change."""

    spec: ClusterSpec
    pool: Pool
    listener: Listener
    ledgers: Mapping[str, Ledger]
    pushes: Mapping[str, Push]
    locks: Mapping[str, HostLock] = field(default_factory=dict)


def ledgers(plan: Plan, observed: Mapping[str, Observed], before: Mapping[str, Ledger], identity: Ledger) -> dict[str, Ledger]:
    """Each host's ledger with everything in it that *plan* will touch; *identity* names the cluster and the tool."""
    found = {}
    for host, seen in observed.items():
        mine = [change for stage in plan.stages for one in stage.hosts if one.host == host for change in one.changes]
        old = replace(before[host], cluster_id=identity.cluster_id, cluster=identity.cluster, version=identity.version)
        if mine:
            found[host] = record(old, mine, seen)
    return found


def _ledger_step(ledger: Ledger) -> tuple[Step, bytes]:
    want = File(name=ledger.path, content=ledger.dump(), mode=0o600)
    order = file_kind.commands(want, Difference(action=Action.UPDATE, reason="ledger"))
    text = f"mkdir -p {ledger.path.rsplit('/', 1)[0]} {paths.STATE} {paths.RUN}\nchmod 0700 {paths.STATE}\n{order.text}"
    return ("ledger", text, 60.0), order.payload


def run_steps(connection: Connection, steps: Sequence[Step], payload: bytes, listener: Listener) -> None:
    """One stream of framed (id, sh text, deadline) *steps*; ApplyError names the first that failed, with its last output."""
    marker = entropy.marker()
    strict = [(name, f"set -e\n{text}", deadline_s) for name, text, deadline_s in steps]
    total_s = sum(deadline_s for _, _, deadline_s in steps) + 30
    running = connection.run(fuse.change_program(strict, marker), payload=(payload,) if payload else (), deadline_s=total_s)
    done, began = 0, clock.monotonic_s()
    for event in fuse.follow(running.lines(), marker):
        if isinstance(event, fuse.Begun):
            began = clock.monotonic_s()
            listener(ChangeStarted(host=connection.host, change_id=event.id))
            continue
        text = event.output.decode("utf-8", "replace").strip()
        took = clock.monotonic_s() - began
        listener(ChangeFinished(host=connection.host, change_id=event.id, exit_code=event.exit_code, output=text, seconds=took))
        if event.exit_code != 0:
            running.close()
            why = f"took longer than {steps[done][2]:g} s" if event.timed_out else f"failed ({event.exit_code})"
            raise ApplyError(f"{event.id} {why}: {text}", host=connection.host, hint=AGAIN)
        done += 1
    ended = running.finish()
    if done != len(steps):
        raise ApplyError(f"the stream ended in {steps[done][0]}: {ended.stderr.strip()[-500:]}", host=connection.host, hint=AGAIN)


def write_ledger(connection: Connection, ledger: Ledger, listener: Listener) -> None:
    """Put *ledger* on the host: before anything that it describes, the store of blobs included."""
    step, payload = _ledger_step(ledger)
    run_steps(connection, [step], payload, listener)


def send(applying: Applying, connection: Connection, changes: Sequence[Change], *, gates: Sequence[Gate] = ()) -> None:
    """One stream to one host: *changes* once their blobs have arrived, then *gates*. LockError if another run took the host."""
    first = [change for change in changes if confirm.needed(change)]
    if first and len(first) < len(changes):  # alone: it is taken back unless it is confirmed within seconds
        send(applying, connection, first)
        changes = [change for change in changes if change not in first]
    for change in changes:
        if change.blob is not None:
            applying.pushes[connection.host].wait(change.blob.sha256)
    steps = batch.steps(changes)
    payload = b"".join(change.payload for change in changes)
    if lock := applying.locks.get(connection.host):
        lock.check()
    known = applying.ledgers.get(connection.host)
    if known and (left := forget(known, changes)) != known:  # behind the deletions: a run that ends before them finds them again
        step, text = _ledger_step(left)
        steps, payload = [*steps, step], payload + text
    steps += [("sync", _SYNC, 120.0)] if gates else []
    steps += [(f"gate/{gate.name}", gate.text, gate.deadline_s) for gate in gates]
    if steps:
        run_steps(connection, steps, payload, applying.listener)
    if first == list(changes) and first:
        confirm.confirm(applying.pool, applying.spec.host(connection.host), connection)


def _host(applying: Applying, plans: Mapping[str, HostPlan], host: Host, connection: Connection) -> None:
    send(applying, connection, plans[host.name].changes, gates=plans[host.name].gates)


def _stage(applying: Applying, stage: Stage, failed: set[str]) -> list[KbError]:
    """The hosts that may go together, then the others one by one; the first failure of those ends them."""
    plans = {plan.host: plan for plan in stage.hosts if plan.host not in failed and plan.host != CLUSTER}  # the API has its own way: api.apply
    work = partial(_host, applying, plans)
    outcomes = applying.pool.map(work, [applying.spec.host(plan.host) for plan in plans.values() if not plan.serial])
    errors = failures(outcomes)
    for plan in plans.values():
        if plan.serial and not _ends(applying, errors):
            alone = applying.pool.map(work, [applying.spec.host(plan.host)])
            errors += failures(alone)
    return errors


def _ends(applying: Applying, errors: Sequence[KbError]) -> bool:
    """Whether nothing may follow: a host failed that counts for quorum."""
    return any(applying.spec.host(error.host).is_master for error in errors)


def apply(applying: Applying, stages: Sequence[Stage]) -> list[KbError]:
    """Run *stages* one after the other on a cluster that may be serving; the errors of the hosts that failed. What succeeded stays."""
    failed: set[str] = set()
    errors: list[KbError] = []
    for stage in stages:
        if all(plan.host == CLUSTER for plan in stage.hosts):
            continue
        with timing.stage(applying.listener, stage.name):
            new = _stage(applying, stage, failed)
        errors += new
        failed |= {error.host for error in new}
        if _ends(applying, new):
            break
    return errors


def raise_together(errors: Sequence[KbError]) -> None:
    """ApplyError with a Problem for each failed host, if there are any."""
    if errors:
        problems = [error.problem for error in errors]
        hosts = ", ".join(sorted({error.host for error in errors}))
        raise ApplyError(
            f"{counted(len({error.host for error in errors}), 'host')} failed: {hosts}", problems=problems, hint=f"Mend the cause. {AGAIN}"
        )
