"""``cluster.upgrade`` and ``cluster.rollback``: which way is open, from what runs.

Whatever runs is asked, not remembered: a command that was killed finds what is left by reading the hosts. Kept is only what nothing can be asked for:
where the way began (``state.Rollout``), and on each host what was replaced. cluster.yml names the new version once every host that answers has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kbootstrap.engine import versions
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.upgrade_way import ROLLBACK, UPGRADE, Asked, Changing, Outcome, Way
from kbootstrap.errors import PreflightError, Problem, UsageError
from kbootstrap.plan import skew
from kbootstrap.plan import versions as of_versions
from kbootstrap.plan.versions import APISERVER, Versions
from kbootstrap.remote.pool import Pool
from kbootstrap.store import state
from kbootstrap.store.lock import hold


def upgrade(request: Request, target: str, asked: Asked) -> Outcome:
    """Bring every host to Kubernetes *target*. PreflightError, before anything changes, where the skew policy or the cluster's health forbid it."""
    _refuse_mistakes(asked)
    with hold(request.folder.root, UPGRADE):
        known = contact(request.folder)
        with request.connect(known) as pool:
            seen = _seen(known, pool)
            _refuse(skew.upgrade(seen, target), target)
            way = forward(known.state.rollout, seen, target)
            return Changing(request=request, known=known, pool=pool, seen=seen, way=way, asked=asked).all()


def rollback(request: Request, asked: Asked) -> Outcome:
    """Bring every host back to what ran before the last upgrade. PreflightError where only etcd's snapshot leads back."""
    _refuse_mistakes(asked)
    with hold(request.folder.root, ROLLBACK):
        known = contact(request.folder)
        found = known.state.rollout
        if found is None:
            raise PreflightError(
                "there is nothing to go back to: no upgrade of this cluster is known",
                hint=f"It would be in {request.folder.state}: bring that back from a backup. invoke cluster.status tells what runs.",
            )
        way = backward(found)
        with request.connect(known) as pool:
            seen = _seen(known, pool)
            _refuse(skew.rollback(seen, way.record.target, snapshot=found.snapshot), way.record.target)
            return Changing(request=request, known=known, pool=pool, seen=seen, way=way, asked=asked).all()


def _refuse_mistakes(asked: Asked) -> None:
    if asked.max_unavailable < 1:
        raise UsageError("--max-unavailable is a number of nodes, at least 1")
    if asked.drain_s < 1:
        raise UsageError(f"--deadline {asked.drain_s:g}: want seconds, 1 or more")


def _seen(known: Prepared, pool: Pool) -> Versions:
    """What runs where; PreflightError where there is no cluster to speak of. Hosts that cannot be asked are told of by the look that follows."""
    seen = versions.read(pool, known.spec.hosts)
    if not of_versions.of(seen, (APISERVER,)):
        raise PreflightError("no master has an API server: there is no version to change", hint="invoke cluster.up")
    return seen


def forward(record: state.Rollout | None, seen: Versions, target: str) -> Way:
    """The way to *target*. Where an API server runs it that *record* led there, origin and snapshot stay: data may be of the new version since then.

    Else there is nothing of the new version in etcd yet, and the way begins where the API servers are: they wrote what is there. What hosts keep of
    a turn that was cut off stays all the same.
    """
    servers = of_versions.of(seen, (APISERVER,))
    mine = record if record is not None and record.target == target and not record.back and record.origin != target else None
    under_way = mine is not None and not mine.done
    if mine is not None and target in servers:
        return Way(record=mine, begun=under_way, first=False)
    return Way(record=state.Rollout(origin=servers[0], target=target), first=not under_way and servers[0] != target)


def backward(found: state.Rollout) -> Way:
    """The way back of *found*, or what is left of it."""
    if found.back:
        return Way(record=found, begun=True, first=False)
    return Way(record=replace(found, origin=found.target, target=found.origin, back=True, done=False), begun=not found.done)


def _refuse(problems: Sequence[Problem], target: str) -> None:
    if problems:
        raise PreflightError(f"no way to Kubernetes {target} from what runs; nothing was changed", problems=problems)
