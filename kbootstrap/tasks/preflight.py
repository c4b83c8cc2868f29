"""Fit or not: ``preflight.run``, ``preflight.list``."""

from __future__ import annotations

import json as encoder

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import PreflightError, UsageError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

_HELP = {
    "cluster": CLUSTER_HELP,
    "limit": "only these hosts (m1,w2)",
    "only": "only these checks, by id (swap,clock); preflight.list names them",
    "json": JSON_HELP,
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}

_DIALLED = "`invoke ports.check` proves all of them; `invoke cluster.up` does before it installs anything."


@task(auto_shortflags=False, help=_HELP)
@reported
def run(
    _: Context, cluster: str = "", limit: str = "", only: str = "", json: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Look whether every host is fit, all at once; changes nothing. Exit code 0: nothing stands in the way (warnings are shown), 4: refused."""
    wanted = _list(only)
    _refuse_unknown(wanted)
    from kbootstrap.engine import preflight
    from kbootstrap.model.finding import Severity
    from kbootstrap.report import data, text
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), only=wanted) as request:
        found = preflight.run(request)
    say(encoder.dumps({"findings": data.findings(found)}, indent=1) if json else "\n".join(text.findings(found)))
    if any(finding.severity is Severity.REFUSED for finding in found):
        raise Exit(code=PreflightError.exit_code)


@task(auto_shortflags=False, help={"json": JSON_HELP}, name="list")
@reported
def list_(_: Context, json: bool = False) -> None:
    """Every check by its id, and why it is made. The inventory's `preflight: {waive: …}` takes all of them, `--only` those not of ports.check."""
    from kbootstrap.catalog.checks import ALL, BY_ID

    if json:
        rows = [{"check": row.id, "why": row.reason, "waivable": row.waivable, "command": _command(row.id in BY_ID)} for row in ALL]
        say(encoder.dumps(rows, indent=1))
        return
    width = max(len(row.id) for row in ALL)
    for row in ALL:
        said = ("" if row.waivable else " (cannot be waived)") + ("" if row.id in BY_ID else " (ports.check)")
        say(f"{row.id:<{width}}  {row.reason}{said}")


def _command(judged: bool) -> str:
    return "preflight.run" if judged else "ports.check"


def _refuse_unknown(only: tuple[str, ...]) -> None:
    """UsageError with the nearest id: no finding of a check that does not exist would look like success."""
    from kbootstrap.catalog.checks import BY_ID, WAIVABLE

    if dialled := [name for name in only if name in WAIVABLE and name not in BY_ID]:
        raise UsageError(f"--only: {', '.join(dialled)}: a path between two hosts, which preflight.run does not try", hint=_DIALLED)
    if unknown := [name for name in only if name not in BY_ID]:
        from kbootstrap.inventory.finding import did_you_mean

        raise UsageError(f"--only: no check is called {', '.join(unknown)}", hint=did_you_mean(unknown[0], BY_ID))
