"""A change of the Kubernetes version, whichever way it goes: look, refuse, show, ask, keep the way back, work, write it down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from kbootstrap.engine import api, etcd_snapshot, health, node_drain, run, workload
from kbootstrap.engine import upgrade_plan as planned
from kbootstrap.engine.apply import Applying
from kbootstrap.engine.execute import execute
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
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.versions import Versions
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
class Changing:
    """A change of the version under way, on open connections; the cluster's folder is locked. *seen*: what ran before."""

    request: Request
    known: Prepared
    pool: Pool
    seen: Versions
    record: state.Rollout
    begun: bool
    asked: Asked

    @property
    def command(self) -> str:
        return ROLLBACK if self.record.back else UPGRADE

    def all(self) -> Outcome:
        """Look, refuse, show, ask, keep a snapshot, work, and write the new version where the operator reads it."""
        prepared = prepare(self.request.folder, self.request.listener, dry=False, kubernetes=self.record.target)
        found = self._look(prepared)
        if not found.plan.empty:
            self._refuse_unfit(prepared, found)
        shown = planned.shown(prepared, self.pool, self.record, seen=self.seen, waves=found.waves, plan=found.plan)
        outcome = Outcome(shown=shown, plan=found.plan, applied=False, left_out=found.picture.left_out)
        if found.plan.empty:
            self._rolling(prepared).tidy(found.observed)
            return replace(outcome, diff=self._finish(self.record), results=self._checked(prepared, found))
        if not self.asked.confirm(shown, found.plan):
            return outcome
        record = self._recorded(prepared, found)
        after = self._work(prepared, found)
        self._rolling(prepared).tidy(after.observed)
        diff = self._finish(record)
        return replace(outcome, applied=True, diff=diff, snapshot=record.snapshot, results=self._checked(prepared, after))

    def _look(self, prepared: Prepared, *, again: bool = False) -> _Look:
        """The plan of every run, and the order in which it is worked here."""
        try:
            picture = run.look(self.request, prepared, self.pool, again=again)
        except ConnectError as error:
            error.hint = "Every master has to be there. One that is gone for good is replaced before: invoke node.replace."
            raise
        wide, back = self.asked.max_unavailable, self.record.back
        waves = ways.waves(picture.plan, prepared.desired, prepared.spec, max_unavailable=wide, back=back)
        return _Look(picture=picture, waves=waves, plan=ways.ordered(picture.plan, waves))

    def _refuse_unfit(self, prepared: Prepared, found: _Look) -> None:
        """A cluster that is not well is mended first; one where a change stopped half-way is not well, and goes on. Pods that nobody would make
        anew are named."""
        names, live = list(found.observed), found.picture.live
        results = [] if self.begun else health.settled(prepared, self.pool, names)
        results += [] if self.begun else api.wait_ready(prepared, self.pool, live, names, patient=False)
        problems = [Problem(where=f"{r.check} {r.where}", what=r.detail, hint=r.hint) for r in results if not r.ok]
        if problems:
            raise PreflightError("the cluster is not well, and another version would not mend it; nothing was changed", problems=problems)
        drained = [turn.host for wave in found.waves for turn in wave.turns if turn.drains]
        alone = [p for name in drained if not self.asked.force for p in draining.nobodys(node_drain.look(prepared, self.pool, name))]
        if alone:
            raise PreflightError("nodes cannot be drained; nothing was changed", problems=alone)

    def _recorded(self, prepared: Prepared, found: _Look) -> state.Rollout:
        """Before the first change: the way back. A snapshot of a cluster that is half new leads nowhere, so an interrupted way keeps its first."""
        record, folder = self.record, self.request.folder
        if not record.back and not record.snapshot:
            snapshots.refuse_unfit(folder.snapshots)
            as_it_is = replace(self.known, spec=replace(self.known.spec, kubernetes=record.origin))  # whatever cluster.yml says already
            taken = etcd_snapshot.take(as_it_is, self.pool, self.request.listener, folder.snapshots)
            record = replace(record, snapshot=str(taken.path))
        if not self.begun:  # before it is recorded: what hosts keep is of this change, or of none
            self._rolling(prepared).begin(found.plan, found.observed)
        _save(folder, record)
        return record

    def _work(self, prepared: Prepared, agreed: _Look) -> _Look:
        def work(applying: Applying, now: _Look) -> None:
            self._rolling(prepared).work(applying, now.waves, now.plan)

        look = partial(self._look, prepared, again=True)
        return execute(self.request, prepared, self.pool, agreed, command=self.command, look=look, work=work)

    def _rolling(self, prepared: Prepared) -> Rolling:
        asked = self.asked
        return Rolling(request=self.request, prepared=prepared, pool=self.pool, command=self.command, drain_s=asked.drain_s, force=asked.force)

    def _finish(self, record: state.Rollout) -> tuple[str, ...]:
        """cluster.yml names what runs; the record stays for ``cluster.rollback``, which ends it. Gives the diff."""
        diff: tuple[str, ...] = ()
        path = self.request.folder.cluster_yml
        if self.known.spec.kubernetes != record.target:
            before = inventory_files.read_text(path)
            after = edit.with_version(before, record.target)
            inventory_files.replace_text(path, after)
            diff = tuple(edit.diff(before, after, path.name))
        if record.back:
            _save(self.request.folder, None)
        elif record.origin != record.target:
            _save(self.request.folder, replace(record, done=True))
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
