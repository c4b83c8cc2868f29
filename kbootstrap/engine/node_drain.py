"""Drain and uncordon: kubectl on whichever master answers, PodDisruptionBudgets respected, up to a deadline.

Whoever cordons for a while (``by``) leaves a mark at the node, and ``release`` takes back only what is marked: a node that the operator had cordoned
before stays so, also when the command was killed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kbootstrap.engine import api, cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, CommandError, ConnectError, KbError, PreflightError, Problem, counted
from kbootstrap.model.events import Listener, Note, StageFinished, StageStarted
from kbootstrap.model.host import Host
from kbootstrap.plan import node_drain as words
from kbootstrap.plan.node_drain import DEADLINE_S, Seen
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock

AGAIN_S = 1.0
_FOR_GOOD = "cannot delete"  # how kubectl begins to name pods that it will not touch however long it waits


def drain(
    prepared: Prepared, pool: Pool, listener: Listener, names: Sequence[str], *, deadline_s: float = DEADLINE_S, by: str = "", force: bool = False
) -> None:
    """Cordon all of *names*, then evict from one after the other, each up to *deadline_s*. One that does not become empty keeps no other from it.

    *by*: the command that gives them back by ``release``; "" leaves them cordoned as the operator's own. *force*: pods without a controller go too.
    PreflightError before anything is changed: no such node, or such a pod without *force*. ApplyError names what blocks; those hosts **stay
    cordoned**, and what was evicted is gone: the caller releases them, or says so.
    """
    found = [look(prepared, pool, name) for name in names]
    refuse(found, force=force)
    for each in found:
        _cordon(prepared, pool, each, by)
    problems = [problem for each in found for problem in _empty(prepared, pool, listener, each, deadline_s, force=force)]
    if problems:
        stuck = sorted({problem.where.partition(" ")[0] for problem in problems})
        raise ApplyError(f"not drained within {deadline_s:g} s: {', '.join(stuck)}", problems=problems)


def release(prepared: Prepared, pool: Pool, listener: Listener, names: Sequence[str]) -> tuple[str, ...]:
    """Uncordon those of *names* that a command of ours cordoned, and only those; gives them."""
    ours = [each for each in (look(prepared, pool, name) for name in names) if each.cordoned_by]
    return _uncordon(prepared, pool, listener, ours)


def uncordon(prepared: Prepared, pool: Pool, listener: Listener, names: Sequence[str]) -> tuple[str, ...]:
    """Uncordon *names*, whoever cordoned them; gives those that were. PreflightError for one that is no node."""
    found = [look(prepared, pool, name) for name in names]
    refuse(found, force=True)
    return _uncordon(prepared, pool, listener, [each for each in found if each.cordoned])


def look(prepared: Prepared, pool: Pool, name: str) -> Seen:
    """The node *name*, its pods and the budgets, from an API server that answers."""
    output = ask(prepared, pool, partial(words.look, name=name), what=f"node {name} cannot be read")
    try:
        return words.seen(name, output)
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"node {name} cannot be read: {error}", hint="invoke cluster.status") from error


def ask(prepared: Prepared, pool: Pool, text: Callable[[Host], str], *, what: str, deadline_s: float = 60.0) -> str:
    """The output of sh text on a master whose API server answers; on another one if that ends meanwhile. ApplyError begins with *what*."""
    said = ""
    for _ in range(2):
        master = api.healthy_master(prepared, pool)
        try:
            code, output, stderr = cluster.one(pool.connection(master), text(master), deadline_s=deadline_s)
        except (CommandError, ConnectError) as error:
            code, output, stderr = 1, b"", error.message
        if code == 0:
            return output.decode("utf-8", "replace")
        said = stderr.strip()[-300:]
    raise ApplyError(f"{what}: {said}", hint="invoke cluster.status")


def refuse(found: Sequence[Seen], *, force: bool) -> None:
    """PreflightError for what is no node and, without *force*, for pods that nobody would make anew. To be asked before anybody agrees."""
    problems = [Problem(where=each.name, what="is no node of the cluster", hint="invoke cluster.status") for each in found if not each.node]
    problems += [problem for each in found if not force for problem in words.nobodys(each)]
    if problems:
        raise PreflightError("cannot be drained; nothing was changed", problems=problems)


def _cordon(prepared: Prepared, pool: Pool, found: Seen, by: str) -> None:
    """What is cordoned already keeps its owner, but that the operator's own wish takes over from an interrupted command."""
    if not found.cordoned or (found.cordoned_by and not by):
        ask(prepared, pool, partial(words.cordon, name=found.name, by=by), what=f"{found.name} cannot be cordoned")


def _uncordon(prepared: Prepared, pool: Pool, listener: Listener, found: Sequence[Seen]) -> tuple[str, ...]:
    for each in found:
        ask(prepared, pool, partial(words.uncordon, name=each.name), what=f"{each.name} cannot be uncordoned")
        listener(Note(host=each.name, text="takes pods again"))
    return tuple(each.name for each in found)


def _empty(prepared: Prepared, pool: Pool, listener: Listener, found: Seen, deadline_s: float, *, force: bool) -> list[Problem]:
    """Evict until nothing is left or the time is over; what blocks then."""
    began = clock.monotonic_s()
    end = began + deadline_s
    listener(StageStarted(stage=f"drain {found.name}"))
    while (said := _evict(prepared, pool, found.name, end - clock.monotonic_s(), force=force)) is not None:
        if clock.monotonic_s() + AGAIN_S >= end or _FOR_GOOD in said or pool.stopping.is_set():
            return _told(prepared, pool, found.name, said)
        clock.pause(AGAIN_S)
    listener(Note(host=found.name, text=f"drained: {counted(len(found.leaving), 'pod')} left"))
    listener(StageFinished(stage=f"drain {found.name}", seconds=clock.monotonic_s() - began))
    return []


def _evict(prepared: Prepared, pool: Pool, name: str, left_s: float, *, force: bool) -> str | None:
    """None once it is empty; else what kubectl said, or why it could not be asked: then another master may be."""
    try:
        master = api.healthy_master(prepared, pool)
        code, output, _ = cluster.one(pool.connection(master), words.drain(master, name, left_s, force=force), deadline_s=max(1.0, left_s) + 30)
    except KbError as error:
        return error.message
    return None if code == 0 else output.decode("utf-8", "replace").strip()[-500:]


def _told(prepared: Prepared, pool: Pool, name: str, said: str) -> list[Problem]:
    """What keeps *name* from being empty; kubectl's last words where nothing explains it."""
    try:
        found = words.blockers(look(prepared, pool, name))
    except KbError as error:
        found, said = (), error.message
    problems = [Problem(where=f"{name} {each.where}", what=each.what, hint=each.hint) for each in found]
    return problems or [Problem(where=name, what=said.splitlines()[-1] if said else "is not empty", hint="Run the same command again.")]
