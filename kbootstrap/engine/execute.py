"""The one way by which hosts are changed: lock them, look again, write their ledgers, work, look once more. ``cluster.up``, ``firewall.apply`` and
``certs`` differ in what they look at and in how they work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import kbootstrap
from kbootstrap.engine.apply import Applying, ledgers, raise_together, write_ledger
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.push import Push
from kbootstrap.errors import PreflightError, Problem, VerifyError
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Plan
from kbootstrap.model.resource import Blob
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.lock import HostLock, Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool, failures

if TYPE_CHECKING:
    from kbootstrap.engine.request import Request


class Look(Protocol):
    """One look at the hosts, and the plan that follows."""

    @property
    def observed(self) -> Mapping[str, Observed]: ...
    @property
    def ledgers(self) -> Mapping[str, Ledger]: ...
    @property
    def plan(self) -> Plan: ...


L = TypeVar("L", bound=Look)


def execute(
    request: Request,
    prepared: Prepared,
    pool: Pool,
    agreed: L,
    *,
    command: str,
    look: Callable[[], L],
    work: Callable[[Applying, L], None],
    first: Callable[[], None] = lambda: None,
) -> L:
    """Do what was *agreed* to, on hosts that are ours alone meanwhile; the look after it, whose plan is empty. *first* comes before the look.

    Every host's ledger is complete before its first change. PreflightError if the plan asks for more than was agreed to, VerifyError when
    everything was done and something is still different; and what *work* raises.
    """
    with locked(request, prepared, pool, agreed, command) as locks:
        first()
        now = look()
        _refuse_more(now.plan, agreed.plan)
        recorded = _recorded(request, prepared, pool, now)
        pushes = {
            name: Push(pool.connection(prepared.spec.host(name)), _blobs(now, name), request.listener, unpacks=seen.facts.unpacks).start()
            for name, seen in now.observed.items()
        }
        work(Applying(spec=prepared.spec, pool=pool, listener=request.listener, ledgers=recorded, pushes=pushes, locks=locks), now)
        after = look()
    if not after.plan.empty:
        problems = [Problem(where=c.id, what=c.reason) for c in after.plan.changes()]
        raise VerifyError("still different after the apply", problems=problems, hint="Something on these hosts changes them back.")
    return after


@contextmanager
def locked(request: Request, prepared: Prepared, pool: Pool, seen: Look, command: str) -> Iterator[Mapping[str, HostLock]]:
    """The lock of every host, held by a shell of this run; LockError names the holder of the first that is taken.

    One host before all others: of two runs that begin together one is refused there, instead of both somewhere.
    """
    owner = Owner.here(command)
    hosts = [prepared.spec.host(name) for name in seen.observed]
    with ExitStack() as stack:
        locks: dict[str, HostLock] = {}
        for group in (hosts[:1], hosts[1:]):
            outcomes = pool.map(lambda host, connection: hold_host(connection, owner, take=request.take_lock), group)
            locks |= {name: stack.enter_context(outcome.get()) for name, outcome in outcomes.items() if outcome.ok}
            for outcome in outcomes.values():
                outcome.get()
        for lock in locks.values():
            stack.callback(lock.let_go)  # of all at once; only then each is waited for
        yield locks


def _refuse_more(plan: Plan, agreed: Plan) -> None:
    """PreflightError if *plan* asks for more than was agreed to: somebody worked on the hosts meanwhile."""
    if more := sorted({c.id for c in plan.changes()} - {c.id for c in agreed.changes()}):
        problems = [Problem(where=change, what="differs now, and did not when the plan was shown") for change in more]
        raise PreflightError("the hosts changed since the plan was shown; nothing was done", problems=problems, hint="Run the same command again.")


def _recorded(request: Request, prepared: Prepared, pool: Pool, now: Look) -> Mapping[str, Ledger]:
    identity = Ledger(cluster_id=prepared.state.cluster_id, cluster=prepared.spec.name, version=kbootstrap.__version__)
    complete = ledgers(now.plan, now.observed, now.ledgers, identity)
    written = pool.map(lambda host, c: write_ledger(c, complete[host.name], request.listener), map(prepared.spec.host, complete))
    raise_together(failures(written))
    return complete


def _blobs(seen: Look, host: str) -> list[Blob]:
    """What *host* needs and has not got, in the order of need: its bytes begin to flow at once."""
    there = seen.observed[host].kinds["blob"]
    mine = [c.blob for c in seen.plan.changes() if c.host == host and c.blob is not None]
    return list({blob.sha256: blob for blob in mine if blob.sha256 not in there}.values())
