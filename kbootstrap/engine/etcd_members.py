"""etcd's members, asked and changed through any healthy master; no master is special, and one that is dead hinders nothing but its own vote."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kbootstrap.engine import cluster, etcd_status
from kbootstrap.engine.prepare import Prepared
from kbootstrap.errors import ApplyError, PreflightError
from kbootstrap.model.cluster import Host
from kbootstrap.plan import etcd_members as words
from kbootstrap.plan import etcd_members_sh as texts
from kbootstrap.plan import etcd_status as asking
from kbootstrap.plan.etcd_members import Removal
from kbootstrap.remote.pool import Pool
from kbootstrap.report.etcd import Known

NO_QUORUM = "Bring masters back, their data is on their disks. For good: invoke etcd.recover."


def members(prepared: Prepared, pool: Pool, hosts: Sequence[Host] | None = None) -> tuple[Known, ...]:
    """The members' list, as a majority agrees; of *hosts*, by default every master, the first that answers tells. Empty where none does."""
    asked = prepared.spec.masters if hosts is None else tuple(hosts)
    outcomes = pool.map(lambda host, connection: cluster.one(connection, texts.members(host), deadline_s=20), asked)
    answers = [outcome.get() for outcome in outcomes.values() if outcome.ok]
    return next((found for code, output, _ in answers if (found := asking.known(code, output.decode("utf-8", "replace")))), ())


def alive(prepared: Prepared, pool: Pool) -> frozenset[str]:
    """The masters whose members answer and follow a leader."""
    return frozenset(member.host for member in etcd_status.look(prepared, pool).following)


def may_leave(prepared: Prepared, pool: Pool, names: Collection[str]) -> Removal:
    """The members of *names* in the order in which they can be removed. PreflightError, with what would help, where that would break the quorum."""
    if not (known := members(prepared, pool)):
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
