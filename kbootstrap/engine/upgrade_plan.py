"""What an upgrade will do and what whoever agrees to it should know, put together from the plan and from what the API servers have counted."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kbootstrap.catalog import releases
from kbootstrap.engine import cluster
from kbootstrap.engine import prepare as preparing
from kbootstrap.engine.prepared import Prepared
from kbootstrap.model.plan import CLUSTER, Plan
from kbootstrap.model.resource import Binary
from kbootstrap.plan import upgrade_sh
from kbootstrap.plan.upgrade import ADD_ONS, NODES, REASONS, Turn, Wave
from kbootstrap.plan.versions import KUBERNETES, OTHERS, Versions, minor
from kbootstrap.remote.pool import Pool
from kbootstrap.report.upgrade import Rollout, Row, Step
from kbootstrap.store import state

SNAPSHOT = "SNAPSHOT"


def shown(prepared: Prepared, pool: Pool, way: state.Rollout, *, seen: Versions, waves: Sequence[Wave], plan: Plan) -> Rollout:
    """The whole way as a value for who says yes or no."""
    wanted = preparing.versions(prepared.spec)
    steps = [_snapshot(prepared, way)] if waves and way.unkept else []
    steps += [_step(wave, seen, wanted) for wave in waves]
    objects = [change.key for change in plan.changes() if change.host == CLUSTER]
    steps += [Step(name=ADD_ONS, reason="through the API, at last", rows=(Row(host="cluster", moves=tuple(objects)),))] if objects else []
    moved = {name for step in steps for row in step.rows for move in row.moves for name in OTHERS if move.startswith(f"{name} ")}
    stays = tuple(f"{name} {wanted[name]}" for name in OTHERS if name not in moved)
    warnings = tuple(_warnings(prepared, pool, waves, way))
    return Rollout(origin=way.origin, target=way.target, steps=tuple(steps), stays=stays, warnings=warnings)


def _snapshot(prepared: Prepared, way: state.Rollout) -> Step:
    apart = minor(way.target) != minor(way.origin)
    why = "the only way back once every API server is new" if apart else "in case of need; a rollback does without"
    return Step(name=SNAPSHOT, reason=why, rows=(Row(host="etcd", moves=(f"into {prepared.folder.snapshots}",)),))


def _step(wave: Wave, seen: Versions, wanted: dict[str, str]) -> Step:
    reason = REASONS.get(wave.name, "")
    if wave.name == NODES and wave.width > 1:
        reason = f"at most {wave.width} at a time: {reason}"
    rows = tuple(Row(host=t.host, moves=tuple(_moves(t, seen.get(t.host, {}), wanted)), drained=t.drains) for t in wave.turns)
    return Step(name=wave.name, reason=reason, rows=rows)


def _moves(turn: Turn, now: Mapping[str, str], wanted: dict[str, str]) -> Iterator[str]:
    """Programs with their versions; the other changes as a number."""
    named = 0
    for change in turn.changes:
        name = posixpath.basename(change.key)
        if isinstance(change.resource, Binary) and name in (*KUBERNETES, *OTHERS):
            named += 1
            yield f"{name} {now.get(name, '(none)')} → {wanted[releases.component_of(name)]}"
    if rest := len(turn.changes) - named:
        yield f"{rest} other change{'s' if rest > 1 else ''}"


def _warnings(prepared: Prepared, pool: Pool, waves: Sequence[Wave], way: state.Rollout) -> Iterator[str]:
    for turn in (turn for wave in waves for turn in wave.turns if turn.alone):
        yield f"{turn.host} is not drained: no other node takes its pods; they outlive the restart of their kubelet"
    if len(prepared.spec.masters) == 1 and waves:
        yield "there is one master: the API does not answer while its API server restarts"
    if not way.back:
        yield from _deprecated(prepared, pool, minor(way.target))


def _deprecated(prepared: Prepared, pool: Pool, target_minor: int) -> Iterable[str]:
    """What API servers were asked for since they started; one that does not answer has nothing to tell."""
    outcomes = pool.map(lambda host, connection: cluster.one(connection, upgrade_sh.deprecated_apis(host)), prepared.spec.masters)
    texts = [outcome.get()[1].decode("utf-8", "replace") for outcome in outcomes.values() if outcome.ok]
    return dict.fromkeys(line for text in texts for line in upgrade_sh.apis_told(text, target_minor))
