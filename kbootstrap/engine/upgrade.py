"""``cluster.upgrade`` and ``cluster.rollback``: which way is open, from what runs.

Whatever runs is asked, not remembered: a command that was killed finds what is left by reading the hosts. Kept is only what nothing can be asked for:
where the way began (``state.Rollout``), and on each host what was replaced. cluster.yml names the new version once every host has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kbootstrap.engine import versions
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.upgrade_way import ROLLBACK, UPGRADE, Asked, Changing, Outcome
from kbootstrap.errors import PreflightError, Problem, UsageError
from kbootstrap.plan import skew
from kbootstrap.plan import versions as of_versions
from kbootstrap.plan.versions import APISERVER, Versions
from kbootstrap.remote.pool import Pool
from kbootstrap.store import state
from kbootstrap.store.lock import hold


def upgrade(request: Request, target: str, asked: Asked) -> Outcome:
    """Bring every host to Kubernetes *target*. PreflightError, before anything changes, where the skew policy or the cluster's health forbid it."""
    if asked.max_unavailable < 1:
        raise UsageError("--max-unavailable is a number of nodes, at least 1")
    with hold(request.folder.root, UPGRADE):
        known = contact(request.folder)
        with request.connect(known) as pool:
            seen = _seen(known, pool)
            _refuse(skew.upgrade(seen, target), target)
            record, begun = _way(known.state.rollout, of_versions.of(seen)[0], target)
            return Changing(request=request, known=known, pool=pool, seen=seen, record=record, begun=begun, asked=asked).all()


def rollback(request: Request, asked: Asked) -> Outcome:
    """Bring every host back to what ran before the last upgrade. PreflightError where only etcd's snapshot leads back."""
    with hold(request.folder.root, ROLLBACK):
        known = contact(request.folder)
        found = known.state.rollout
        if found is None:
            raise PreflightError(
                "there is nothing to go back to: no upgrade of this cluster is known", hint=f"It would be in {request.folder.state}."
            )
        begun = found.back and not found.done
        record = found if begun else replace(found, origin=found.target, target=found.origin, back=True, done=False)
        with request.connect(known) as pool:
            seen = _seen(known, pool)
            _refuse(skew.rollback(seen, record.target, snapshot=record.snapshot), record.target)
            return Changing(request=request, known=known, pool=pool, seen=seen, record=record, begun=begun, asked=asked).all()


def _seen(known: Prepared, pool: Pool) -> Versions:
    """What runs where; PreflightError where there is no cluster to speak of. Hosts that cannot be asked are told of by the look that follows."""
    seen = versions.read(pool, known.spec.hosts)
    if not of_versions.of(seen, (APISERVER,)):
        raise PreflightError("no master has an API server: there is no version to change", hint="invoke cluster.up")
    return seen


def _way(record: state.Rollout | None, oldest: str, target: str) -> tuple[state.Rollout, bool]:
    """The way to *target*, and whether it was begun before: then it keeps its origin and its snapshot."""
    if record is not None and not record.done and not record.back and record.target == target:
        return record, True
    return state.Rollout(origin=oldest, target=target), False


def _refuse(problems: Sequence[Problem], target: str) -> None:
    if problems:
        raise PreflightError(f"no way to Kubernetes {target} from what runs; nothing was changed", problems=problems)
