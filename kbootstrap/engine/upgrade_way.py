"""A change of the Kubernetes version, whichever way it goes: look, refuse, show, ask, keep the way back, work, write it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from kbootstrap.engine import api, etcd_snapshot, health, node_drain, run, versions, workload
from kbootstrap.engine import upgrade_plan as planned
from kbootstrap.engine.apply import Applying
from kbootstrap.engine.execute import execute, locked
from kbootstrap.engine.prepare import prepare
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.rollout import Rolling
from kbootstrap.engine.run import Picture
from kbootstrap.errors import ConnectError, PreflightError, Problem
from kbootstrap.inventory import edit
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Plan
from kbootstrap.model.report import Result
from kbootstrap.plan import node_drain as draining
from kbootstrap.plan import upgrade as ways
from kbootstrap.plan import versions as of_versions
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.versions import APISERVER, Versions
from kbootstrap.remote.pool import Pool
from kbootstrap.report import upgrade as report
from kbootstrap.store import inventory_files, snapshots, state
from kbootstrap.store.folder import Folder

UPGRADE: Final = "cluster.upgrade"
ROLLBACK: Final = "cluster.rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*max_unavailable*: nodes that may be drained at once; *force*: pods without a controller are evicted, too. *confirm* sees all beforehand."""

    max_unavailable: int = 1
    drain_s: float = draining.DEADLINE_S
    force: bool = False
    confirm: Callable[[report.Rollout, Plan], bool] = lambda shown, plan: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """*diff* is what changed in cluster.yml; *snapshot* lies beside it. *applied*: False when somebody said no, or when nothing was to be done."""

    shown: report.Rollout
    plan: Plan
    applied: bool
    results: tuple[Result, ...] = ()
    diff: tuple[str, ...] = ()
    snapshot: str = ""
    left_out: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at everything; *plan* holds the same changes as the picture's, in the order of *waves*."""

    picture: Picture
    waves: tuple[ways.Wave, ...]
    plan: Plan

    @property
    def observed(self) -> Mapping[str, Observed]:
        return self.picture.observed

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        return self.picture.ledgers


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """*begun*: a change stopped half-way, so a cluster that is not well is no reason to refuse. *first*: what hosts keep is of another change."""

    record: state.Rollout
    begun: bool = False
    first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """A change of the version under way, on open connections; the cluster's folder is locked. *seen*: what ran before."""

    request: Request
    known: Prepared
    pool: Pool
    seen: Versions
    way: Way
    asked: Asked

    @property
    def record(self) -> state.Rollout:
        return self.way.record

    @property
    def command(self) -> str:
        return ROLLBACK if self.record.back else UPGRADE

    def all(self) -> Outcome:
        """Look, refuse, show, ask, keep a snapshot, work, and write the new version where the operator reads it."""
        prepared = prepare(self.request.folder, self.request.listener, dry=False, kubernetes=self.record.target)
        found = self._look(prepared)
        if not found.plan.empty:
            self._refuse_unfit(prepared, found)
        shown = self._shown(prepared, found)
        outcome = Outcome(shown=shown, plan=found.plan, applied=False, left_out=found.picture.left_out)
        if found.plan.empty:
            with locked(self.request, prepared, self.pool, found, self.command):
                self._rolling(prepared).tidy(found.observed)
            return replace(outcome, diff=self._finish(self.record, found), results=self._checked(prepared, found))
        if not self.asked.confirm(shown, found.plan):
            return outcome
        record, after = self._work(prepared, found)
        diff = self._finish(record, after)
        return replace(outcome, applied=True, diff=diff, snapshot=record.snapshot, results=self._checked(prepared, after))

    def _look(self, prepared: Prepared, *, again: bool = False) -> _Look:
        """The plan of every run, and the order in which it is worked here."""
        try:
            picture = run.look(self.request, prepared, self.pool, again=again)
        except ConnectError as error:
            error.hint = "Every master has to be there. One that is gone for good is replaced before: invoke node.replace."
            raise
        wide, back = self._width(len(picture.left_out)), self.record.back
        waves = ways.waves(picture.plan, prepared.desired, prepared.spec, max_unavailable=wide, back=back)
        return _Look(picture=picture, waves=waves, plan=ways.ordered(picture.plan, waves))

    def _shown(self, prepared: Prepared, found: _Look) -> report.Rollout:
        shown = planned.shown(prepared, self.pool, self.record, seen=self.seen, waves=found.waves, plan=found.plan)
        down = [problem.where for problem in found.picture.left_out]
        width, asked = self._width(len(down)), self.asked.max_unavailable
        if width == asked:
            return shown
        told = f"{', '.join(down)} cannot be read and counts as unavailable: nodes go {width} at a time, not {asked}"
        return replace(shown, warnings=(*shown.warnings, told))

    def _width(self, down: int) -> int:
        """How many nodes may go at once: those that are down are unavailable already. One always may."""
        return max(1, self.asked.max_unavailable - down)

    def _refuse_unfit(self, prepared: Prepared, found: _Look) -> None:
        """A cluster that is not well is mended first; one where a change stopped half-way is not well, and goes on. Pods that nobody would make
        anew are named."""
        if self.record.unkept:
            snapshots.refuse_unfit(self.request.folder.snapshots)
        names, live = list(found.observed), found.picture.live
        results = [] if self.way.begun else health.settled(prepared, self.pool, names)
        results += [] if self.way.begun else api.wait_ready(prepared, self.pool, live, names, patient=False)
        problems = [result.problem for result in results if not result.ok]
        if problems:
            raise PreflightError("the cluster is not well, and another version would not mend it; nothing was changed", problems=problems)
        drained = [turn.host for wave in found.waves for turn in wave.turns if turn.drains]
        alone = [p for name in drained if not self.asked.force for p in draining.nobodys(node_drain.look(prepared, self.pool, name))]
        if alone:
            raise PreflightError("nodes cannot be drained; nothing was changed", problems=alone)

    def _work(self, prepared: Prepared, agreed: _Look) -> tuple[state.Rollout, _Look]:
        """All that hosts see of it, under their locks. What the last change left goes, and this one is recorded, only once no flag refuses it."""
        rolling, record = self._rolling(prepared), self.record

        def first() -> None:
            if self.way.first:
                rolling.offer(agreed.plan, agreed.observed)

        def work(applying: Applying, now: _Look) -> None:
            nonlocal record
            rolling.flags(applying, now.waves)
            record = self._recorded(rolling, now)
            rolling.work(applying, now.waves, now.plan)
            rolling.tidy(now.observed)

        look = partial(self._look, prepared, again=True)
        after = execute(self.request, prepared, self.pool, agreed, command=self.command, look=look, work=work, first=first)
        return record, after

    def _recorded(self, rolling: Rolling, now: _Look) -> state.Rollout:
        """Before the first change: the way back. A snapshot of a cluster that is new leads nowhere, so what runs is asked once more."""
        record, folder = self.record, self.request.folder
        if record.unkept:
            if of_versions.of(versions.read(self.pool, self.known.spec.masters), (APISERVER,))[:1] != [record.origin]:
                raise PreflightError("the version that runs changed since the plan was shown; nothing was done", hint="Run the same command again.")
            as_it_is = replace(self.known, spec=replace(self.known.spec, kubernetes=record.origin))  # whatever cluster.yml says already
            taken = etcd_snapshot.take(as_it_is, self.pool, self.request.listener, folder.snapshots)
            record = replace(record, snapshot=str(taken.path))
        if self.way.first:  # before it is recorded: what hosts keep is of this change, or of none
            rolling.begin(now.observed)
        if record.origin != record.target:
            _save(folder, record)
        return record

    def _rolling(self, prepared: Prepared) -> Rolling:
        asked = self.asked
        return Rolling(request=self.request, prepared=prepared, pool=self.pool, command=self.command, drain_s=asked.drain_s, force=asked.force)

    def _finish(self, record: state.Rollout, seen: _Look) -> tuple[str, ...]:
        """cluster.yml names what runs. The record stays for ``cluster.rollback``, which ends it; while a host is left out neither is done, and the
        same command brings that host. Gives the diff."""
        diff: tuple[str, ...] = ()
        path = self.request.folder.cluster_yml
        if self.known.spec.kubernetes != record.target:
            before = inventory_files.read_text(path)
            after = edit.with_version(before, record.target)
            inventory_files.replace_text(path, after)
            diff = tuple(edit.diff(before, after, path.name))
        if (record.back or record.origin != record.target) and not seen.picture.left_out:
            _save(self.request.folder, None if record.back else replace(record, done=True))
        return diff

    def _checked(self, prepared: Prepared, seen: _Look) -> tuple[Result, ...]:
        names = list(seen.observed)
        results = [Result(check="reachable", where=p.where, ok=False, detail=p.what, hint=p.hint) for p in seen.picture.left_out]
        results += health.settled(prepared, self.pool, names)
        results += api.wait_ready(prepared, self.pool, None, names, patient=True)
        if all(result.ok for result in results):
            results += workload.check(prepared, self.pool, self.request.listener)
        return tuple(results)


def _save(folder: Folder, record: state.Rollout | None) -> None:
    state.save(folder.state, replace(state.load(folder.state), rollout=record))
