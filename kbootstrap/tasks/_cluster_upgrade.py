"""``cluster.upgrade`` and ``cluster.rollback``. ``cluster.py`` lists them beside the others."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, ask, find_folder, reported, say

if TYPE_CHECKING:
    from kbootstrap.engine.upgrade_way import Outcome
    from kbootstrap.model.plan import Plan
    from kbootstrap.report.upgrade import Rollout

_HELP = {
    "cluster": CLUSTER_HELP,
    "max_unavailable": "how many nodes may be away at once; one that is down counts",
    "deadline": "how many seconds a node may need to become empty",
    "force": "evict pods too that no controller would make anew",
    "yes": "do not ask",
    "json": JSON_HELP,
    "take_lock": "take the hosts' lock from a run that is known to be dead",
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}


@task(auto_shortflags=False, help=_HELP | {"to": "the version to go to, as 1.36.3: of this minor, or of the next one"})
@reported
def upgrade(
    _: Context, to: str, cluster: str = "", max_unavailable: int = 1, deadline: int = 300, force: bool = False, yes: bool = False, json: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Another Kubernetes version, host by host while the cluster serves: API servers, controllers, nodes. Goes on where it was interrupted."""
    from kbootstrap.catalog import releases
    from kbootstrap.engine import upgrade as upgrading
    from kbootstrap.engine.upgrade_way import Asked
    from kbootstrap.tasks import _request

    if not releases.is_version(to):
        raise UsageError(f"--to {to} is not a version", hint="A full one, as 1.36.3.")
    asked = Asked(max_unavailable=max_unavailable, drain_s=deadline, force=force, confirm=_confirm(yes=yes, quiet=json))
    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        outcome = upgrading.upgrade(request, to, asked)
    _end(outcome, as_json=json)


@task(auto_shortflags=False, help=_HELP)
@reported
def rollback(
    _: Context, cluster: str = "", max_unavailable: int = 1, deadline: int = 300, force: bool = False, yes: bool = False, json: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Back to the Kubernetes version before the last upgrade: within a minor, or while an API server of the older one still serves."""
    from kbootstrap.engine import upgrade as upgrading
    from kbootstrap.engine.upgrade_way import Asked
    from kbootstrap.tasks import _request

    asked = Asked(max_unavailable=max_unavailable, drain_s=deadline, force=force, confirm=_confirm(yes=yes, quiet=json))
    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        outcome = upgrading.rollback(request, asked)
    _end(outcome, as_json=json)


def _confirm(*, yes: bool, quiet: bool) -> Callable[[Rollout, Plan], bool]:
    """Shows the steps in their order, and every change; then asks."""

    def asked(shown: Rollout, plan: Plan) -> bool:
        from kbootstrap.report import text

        if not quiet:
            for line in (*shown.lines(), "", *text.plan(plan)):
                say(line)
        if yes:
            return True
        if quiet or not sys.stdin.isatty():
            if not quiet:
                say("Nothing was changed: there is no terminal to ask on. Add --yes.")
            return False
        return ask("Go? [y/N] ").lower() in ("y", "yes")

    return asked


def _end(outcome: Outcome, *, as_json: bool) -> None:
    from kbootstrap.report import data, text
    from kbootstrap.tasks import _request
    from kbootstrap.tasks.cluster import CHANGES

    shown, refused = outcome.shown, not outcome.applied and not outcome.plan.empty
    if as_json:
        found = {"applied": outcome.applied, **shown.data(), **data.plan(outcome.plan), "snapshot": outcome.snapshot}
        say(encoder.dumps({**found, "checks": data.results(outcome.results)}, indent=1))
    if refused:
        raise Exit(code=CHANGES)
    if not as_json:
        if not outcome.applied:
            say(f"0 changes: every host that could be read runs Kubernetes {shown.target}.")
        for line in (*outcome.diff, *text.results(outcome.results)):
            say(line)
    _request.refuse_failed(outcome.results, told=not as_json)
    if outcome.applied and not as_json:
        say(f"Kubernetes {shown.target} runs on every host." + (f" etcd as it was before: {outcome.snapshot}" if outcome.snapshot else ""))
