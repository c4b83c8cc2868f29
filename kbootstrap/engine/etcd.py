"""Whether etcd has a quorum, asked where no certificate is needed: with all of them expired, nothing else about it can be asked."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.catalog import ports
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import KbError
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.plan import Stage
from kbootstrap.plan import order
from kbootstrap.remote import http
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool

LOOPBACK = "127.0.0.1"


def paced(prepared: Prepared, pool: Pool, listener: Listener, stages: Sequence[Stage]) -> Sequence[Stage]:
    """*stages* as they are, members one by one; but all hosts together where there is no quorum."""
    if order.needs_quorum(stages) and not has_quorum(prepared, pool):
        listener(Note(text="etcd has no quorum: its members restart together, there is nothing to protect", warning=True))
        return order.together(stages)
    return stages


def has_quorum(prepared: Prepared, pool: Pool) -> bool:
    """Whether any member has just read something that a majority agreed to (``/health`` of its metrics port, plain HTTP on the loopback)."""
    outcomes = pool.map(lambda _, connection: _healthy(connection), prepared.spec.masters)
    return any(outcome.ok and outcome.get() for outcome in outcomes.values())


def _healthy(connection: Connection) -> bool:
    try:
        return '"health":"true"' in http.get(connection, LOOPBACK, ports.ETCD_METRICS.number, "/health", timeout_s=10)
    except KbError:
        return False
