"""A change of the firewall is taken back by its host unless somebody who comes in anew confirms it: the connection that made it proves nothing,
since packets of known connections pass."""

from __future__ import annotations

from kbootstrap.engine.cluster import one
from kbootstrap.errors import ApplyError, KbError
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Change
from kbootstrap.model.resource import Firewall
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.resources import firewall

# The old connection still stands: by it the end of the guard is waited for, and what became of the rules.
_AWAIT = f"""\
for i in $(seq 600); do
  [ -e {firewall.UNCONFIRMED} ] || break
  sleep 0.2
done
[ ! -e {firewall.UNCONFIRMED} ]
"""


def needed(change: Change) -> bool:
    """Whether *change* is taken back by its host if nobody confirms it."""
    return isinstance(change.resource, Firewall) and firewall.GUARD in change.commands and bool(change.payload)


def confirm(pool: Pool, host: Host, old: Connection) -> None:
    """Come in anew and let the change stay. ApplyError that says what was taken back if nobody gets in any more."""
    try:
        with pool.fresh(host) as connection:
            code, output, _ = one(connection, firewall.CONFIRM, deadline_s=20)
    except KbError as error:
        raise _taken_back(host, old, f"no new SSH connection after it: {error.message}") from error
    if code != 0:
        raise _taken_back(host, old, output.decode("utf-8", "replace").strip()[-300:])


def _taken_back(host: Host, old: Connection, why: str) -> ApplyError:
    try:
        gone = one(old, _AWAIT, deadline_s=150)[0] == 0
    except KbError:
        gone = False
    what = "its rules are as they were before" if gone else "the host takes its rules back by itself"
    hint = f"Compare ssh.port and ssh.host of {host.name} with what its firewall lets in: invoke firewall.show"
    return ApplyError(f"the change of the firewall was rolled back ({why}); {what}", host=host.name, hint=hint)
