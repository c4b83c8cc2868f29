"""A role of one's own on the hosts of any inventory: ``role.plan``, ``role.apply``."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import CHANGES, _asked, _list

if TYPE_CHECKING:
    from kbootstrap.model.plan import Plan
    from kbootstrap.store.role_folder import RoleFolder

_HELP = {
    "role": "folder with role.yml, templates/ and bin/; it need not lie in this project",
    "cluster": CLUSTER_HELP,
    "limit": "only these hosts (m1,w2)",
    "deep": "hash every binary again instead of believing the records on the hosts",
    "json": JSON_HELP,
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}


def _folder(role: str) -> RoleFolder:
    from kbootstrap.errors import UsageError
    from kbootstrap.store.role_folder import RoleFolder

    if not role:
        raise UsageError("which role?", hint="invoke role.apply --role ./my-role")
    return RoleFolder(root=Path(role))


@task(auto_shortflags=False, help=_HELP)
@reported
def plan(
    _: Context, role: str = "", cluster: str = "", limit: str = "", deep: bool = False, json: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Show what `role.apply` would change, and why; changes nothing. Exit code 0: nothing to do, 10: changes."""
    from kbootstrap.engine import role as engine
    from kbootstrap.report import data, text
    from kbootstrap.tasks import _request

    mine, place = _folder(role), find_folder(cluster)
    with _request.open_(place, quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), deep=deep) as request:
        wanted = engine.plan(request, mine).plan
    say(encoder.dumps(data.plan(wanted), indent=1) if json else "\n".join(text.plan(wanted)))
    if not wanted.empty:
        raise Exit(code=CHANGES)


@task(auto_shortflags=False, help=_HELP | {"yes": "do not ask", "take_lock": "take the hosts' lock from a run that is known to be dead"})
@reported
def apply(
    _: Context, role: str = "", cluster: str = "", limit: str = "", deep: bool = False, yes: bool = False, json: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Bring the hosts to what a role says, and prove it by reading again. Prints the plan and asks first; run it again whenever you like."""
    from kbootstrap.engine import role as engine
    from kbootstrap.report import data
    from kbootstrap.tasks import _request

    def confirm(wanted: Plan) -> bool:
        return yes or _asked(wanted, quiet=json)

    mine, place, fd = _folder(role), find_folder(cluster), sudo_password_fd
    with _request.open_(
        place, quiet=json, ask=ask_sudo_password, fd=fd, limit=_list(limit), deep=deep, confirm=confirm, take_lock=take_lock
    ) as request:
        done = engine.run(request, mine)
    if json:
        say(encoder.dumps({"applied": done.applied, **data.plan(done.plan)}, indent=1))
    elif done.plan.empty or done.applied:
        changes = len(list(done.plan.changes()))
        say(
            f"{changes} change{'' if changes == 1 else 's'} on {len(done.observed)} host{'' if len(done.observed) == 1 else 's'}; all are as it says."
        )
    if not done.applied and not done.plan.empty:
        raise Exit(code=CHANGES)
