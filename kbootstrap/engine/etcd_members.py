"""etcd's members, asked and changed through any healthy master; no master is special, and one that is dead hinders nothing but its own vote.

Joining is part of ``cluster.up``'s plan (``ordered``), leaving a step of its own (``remove``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kbootstrap.engine import cluster, etcd_status
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, PreflightError
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Plan
from kbootstrap.plan import etcd_members as words
from kbootstrap.plan import etcd_members_sh as texts
from kbootstrap.plan import etcd_orders as ordering
from kbootstrap.plan import etcd_status as asking
from kbootstrap.plan.etcd_members import Removal
from kbootstrap.plan.etcd_orders import Act, Order, Standing
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.report.etcd import Known
from kbootstrap.store import clock

SETTLING_S = 15.0  # a member that was just started finds the others meanwhile
NO_QUORUM = "Bring masters back, their data is on their disks. For good: invoke etcd.recover."


def members(prepared: Prepared, pool: Pool, hosts: Sequence[Host] | None = None) -> tuple[Known, ...]:
    """The members' list, as a majority agrees; of *hosts*, by default every master, the first that answers tells. Empty where none does."""
    asked = prepared.spec.masters if hosts is None else tuple(hosts)
    outcomes = pool.map(lambda host, connection: cluster.one(connection, texts.members(host), deadline_s=20), asked)
    answers = [outcome.get() for outcome in outcomes.values() if outcome.ok]
    return next((found for code, output, _ in answers if (found := asking.known(code, output.decode("utf-8", "replace")))), ())


def named(prepared: Prepared, pool: Pool) -> tuple[Known, ...]:
    """``members`` by the names of the inventory's masters."""
    return words.named(members(prepared, pool), prepared.spec.masters)


def alive(prepared: Prepared, pool: Pool) -> frozenset[str]:
    """The masters whose members answer and follow a leader."""
    return frozenset(member.host for member in etcd_status.look(prepared, pool).following)


def may_leave(prepared: Prepared, pool: Pool, names: Collection[str]) -> Removal:
    """The members of *names* in the order in which they can be removed. PreflightError, with what would help, where that would break the quorum."""
    if not (known := named(prepared, pool)):
        raise PreflightError("no member of etcd answers for a majority; nothing was changed", hint=NO_QUORUM)
    found = words.removal(known, alive(prepared, pool), names)
    if found.problem:
        raise PreflightError(f"{found.problem}; nothing was changed", hint=found.hint)
    return found


def remove(prepared: Prepared, pool: Pool, name: str) -> bool:
    """Take the member called *name* out of etcd, through those that stay. False where there was none.

    PreflightError where that would break the quorum, ApplyError where etcd refuses it. Its own process is left alone: it ends by itself.
    """
    going = may_leave(prepared, pool, [name]).order
    if not going:
        return False
    through = [host for host in prepared.spec.masters if host.name != name and host.name in alive(prepared, pool)]
    for member in going:
        _remove(pool, through, member)
    return True


def _remove(pool: Pool, through: Sequence[Host], member: Known) -> None:
    code, _, stderr = cluster.one(pool.connection(through[0]), texts.remove(through, member.id), deadline_s=texts.SETTLING_S + 30)
    if code != 0:
        what = f"etcd does not remove {member.name} ({member.id}): {stderr.strip()[-300:]}"
        raise ApplyError(what, host=through[0].name, hint="Run the same command again. invoke etcd.status shows the members.")


def ordered(
    prepared: Prepared, pool: Pool, observed: Mapping[str, Observed], plan: Plan, *, only: Collection[str] = ()
) -> tuple[Plan, tuple[Order, ...]]:
    """*plan* with what the members of etcd among *observed* are told: to begin, to join, to become a voter; and those orders.

    Usually none, and nothing is asked. *only*: just where etcd starts in *plan*. PreflightError where a member without data must not start.
    """
    spec = prepared.spec
    chosen = {host.name: ordering.of(observed[host.name]) for host in spec.masters if host.name in observed}
    if not ordering.undecided(chosen):
        return plan, ()
    found = chosen | _standing(pool, [host for host in spec.masters if host.name not in chosen])
    told = ordering.orders(spec, found, chosen, _known(prepared, pool, found))
    if only:
        starting = {change.host for change in plan.changes() if change.key == ordering.SERVICE}
        told = tuple(order for order in told if order.host.name in starting)
    return ordering.into(plan, told, spec, prepared.desired), told


def _standing(pool: Pool, hosts: Sequence[Host]) -> dict[str, Standing]:
    """Of masters that --limit left out. PreflightError for one that cannot be read: it may hold the data of a cluster."""

    def read(host: Host, connection: Connection) -> Standing:
        _, output, _ = cluster.one(connection, ordering.PROBE, deadline_s=30)
        return ordering.standing(ordering.parse(output.decode("utf-8", "replace")), None)

    outcomes = pool.map(read, hosts)
    if bad := failures(outcomes):
        problems = [error.problem for error in bad]
        what = "a master without etcd's data begins or joins only when all masters can be read; nothing was changed"
        raise PreflightError(what, problems=problems, hint="Bring them back. One that is lost: invoke node.remove NAME --absent.")
    return answered(outcomes)


def _known(prepared: Prepared, pool: Pool, found: Mapping[str, Standing]) -> tuple[Known, ...]:
    """The members' list, asked for a while where there was a cluster; nobody is asked where nobody has data."""
    holding = [host for host in prepared.spec.masters if found[host.name].data]
    end = clock.monotonic_s() + (SETTLING_S if any(each.joined for each in found.values()) else 0)
    while holding:
        known = members(prepared, pool, holding)
        if known or clock.monotonic_s() >= end or pool.stopping.is_set():
            return known
        clock.pause(0.5)
    return ()


def joins(told: Sequence[Order]) -> bool:
    """Whether somebody joins or waits: then an order of work protects something, even if nothing runs on the hosts that were read."""
    return any(order.act is not Act.BEGIN for order in told)


def refuse_waiting(told: Sequence[Order]) -> None:
    """ApplyError where hosts were prepared and etcd must not start on them."""
    if waiting := [order for order in told if order.act is Act.WAIT]:
        names = ", ".join(order.host.name for order in waiting)
        what = f"{names} prepared as far as etcd, which was not started: {waiting[0].reason}"
        raise ApplyError(what, hint=waiting[0].hint)
