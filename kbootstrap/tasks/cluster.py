"""The main job: ``cluster.plan``, ``cluster.up``, ``cluster.verify``, ``cluster.status``, ``cluster.down``."""

from __future__ import annotations

import json as encoder
import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import UsageError, VerifyError
from kbootstrap.tasks._cluster_moving import export, import_
from kbootstrap.tasks._cluster_upgrade import rollback, upgrade
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, ask, find_folder, reported, say

if TYPE_CHECKING:
    from kbootstrap.model.plan import Plan

__all__ = ("down", "export", "import_", "plan", "rollback", "status", "up", "upgrade", "verify")

CHANGES = 10  # exit code: there is something to do

_COMMON = {
    "cluster": CLUSTER_HELP,
    "limit": "only these hosts (m1,w2)",
    "only": "only these changes, by id (m1:/etc/x) or key (/etc/x), comma-separated",
    "deep": "hash every binary again instead of believing the records on the hosts",
    "json": JSON_HELP,
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}
_TAKE_LOCK = {"take_lock": "take the hosts' lock from a run that is known to be dead"}


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


@task(auto_shortflags=False, help=_COMMON | {"diff": "show whole new files too"})
@reported
def plan(
    _: Context, cluster: str = "", limit: str = "", only: str = "", deep: bool = False, json: bool = False,
    diff: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Show what `cluster.up` would change, and why; changes nothing. Exit code 0: nothing to do, 10: changes."""
    from kbootstrap.engine import run
    from kbootstrap.report import data, text
    from kbootstrap.tasks import _request

    with _request.open_(
        find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), only=_list(only), deep=deep
    ) as request:
        outcome = run.plan(request)
    wanted = outcome.picture.plan
    if json:
        say(encoder.dumps({**data.plan(wanted), "findings": data.findings(outcome.picture.findings)}, indent=1))
    else:
        for line in text.plan(wanted, unread=[problem.where for problem in outcome.picture.left_out]):
            say(line)
    _request.refuse_unread(outcome.picture.left_out)
    if not wanted.empty:
        raise Exit(code=CHANGES)


@task(auto_shortflags=False, help=_COMMON | {"yes": "do not ask", **_TAKE_LOCK})
@reported
def up(
    _: Context, cluster: str = "", limit: str = "", only: str = "", deep: bool = False, yes: bool = False, json: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Bring the cluster to what the inventory says, and prove it. Prints the plan and asks first; run it again whenever you like."""
    from kbootstrap.engine import run
    from kbootstrap.report import data
    from kbootstrap.tasks import _request

    refused = [False]

    def confirm(wanted: Plan) -> bool:
        agreed = yes or _asked(wanted, quiet=json)
        refused[0] = not agreed
        return agreed

    folder = find_folder(cluster)
    with _request.open_(
        folder,
        quiet=json,
        ask=ask_sudo_password,
        fd=sudo_password_fd,
        limit=_list(limit),
        only=_list(only),
        deep=deep,
        confirm=confirm,
        take_lock=take_lock,
    ) as request:
        outcome = run.up(request)
    if refused[0]:
        if json:
            say(encoder.dumps({"applied": False, **data.plan(outcome.picture.plan), "checks": []}, indent=1))
        raise Exit(code=CHANGES)
    _request.show(outcome, folder, as_json=json)


def _asked(wanted: Plan, *, quiet: bool) -> bool:
    from kbootstrap.report import text

    if not quiet:
        for line in text.plan(wanted):
            say(line)
    if quiet or not sys.stdin.isatty():
        if not quiet:
            say("Nothing was changed: there is no terminal to ask on. Add --yes.")
        return False
    return ask("Apply? [y/N] ").lower() in ("y", "yes")


@task(auto_shortflags=False, help={k: v for k, v in _COMMON.items() if k not in ("only", "limit")})
@reported
def verify(
    _: Context, cluster: str = "", deep: bool = False, json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:
    """Prove that it works: etcd, every API server, nodes, DNS, pod to pod, services through every host, certificates really served."""
    from kbootstrap.engine import run
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    with _request.open_(folder, quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, deep=deep) as request:
        outcome = run.verify(request)
    _request.show(outcome, folder, as_json=json, every=True)
    if not outcome.picture.plan.empty:
        raise VerifyError("the hosts differ from the inventory", hint="invoke cluster.plan shows how.")


@task(auto_shortflags=False, help={k: v for k, v in _COMMON.items() if k not in ("only", "limit", "deep")})
@reported
def status(_: Context, cluster: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1) -> None:
    """One screen: hosts, units, versions, the etcd leader, certificates' days left. Works with hosts that are down."""
    from kbootstrap.engine import status as looking
    from kbootstrap.report.status import lines
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        found = looking.status(request)
    say(encoder.dumps(found.data(), indent=1) if json else "\n".join(lines(found)))
    if not found.healthy:
        raise Exit(code=VerifyError.exit_code)


@task(
    auto_shortflags=False,
    help={k: v for k, v in _COMMON.items() if k not in ("only", "deep", "json")}
    | {
        "yes": "do not ask for the cluster's name; with --foreign: the first of two answers",
        "foreign": "instead: list what other installers or a given-up cluster left on hosts that are not this cluster's, ask twice, remove just that",
        "name": "with --foreign: the second answer, the cluster's name (the host's where only one has something)",
        **_TAKE_LOCK,
    },
)
@reported
def down(
    _: Context, cluster: str = "", limit: str = "", foreign: bool = False, yes: bool = False, name: str = "", take_lock: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Remove from the hosts exactly what was installed, its data included, and prove it. Asks for the cluster's name."""
    from kbootstrap.engine import down as leaving
    from kbootstrap.tasks import _cluster_foreign, _request

    folder = find_folder(cluster)
    if foreign:
        with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), take_lock=take_lock) as request:
            _cluster_foreign.remove(request, yes=yes, name=name)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("cluster.down destroys the cluster and its data", hint="Say --yes when there is no terminal to ask on.")
        if ask(f"This destroys the cluster and its data. Type its name ({folder.name}) to go on: ") != folder.name:
            raise UsageError("that is not its name; nothing was changed")
    with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), take_lock=take_lock) as request:
        for line in leaving.down(request):
            say(line)
