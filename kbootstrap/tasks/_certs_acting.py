"""``certs.renew`` and ``certs.rotate``: new certificates on hosts. ``certs.py`` lists them beside the others."""

from __future__ import annotations

import json as encoder
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import UsageError, counted
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, complain, find_folder, reported, say
from kbootstrap.tasks.cluster import CHANGES, _asked, _list

if TYPE_CHECKING:
    from kbootstrap.engine.certs import Outcome
    from kbootstrap.engine.request import Request
    from kbootstrap.model.plan import Plan
    from kbootstrap.store.folder import Folder

_HELP = {
    "cluster": CLUSTER_HELP,
    "yes": "do not ask",
    "dry_run": "show what would be done, and change nothing; exit code 10 if there is something",
    "take_lock": "take the hosts' lock from a run that is known to be dead",
    "json": JSON_HELP,
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}


@task(
    auto_shortflags=False,
    help=_HELP
    | {
        "host": "issue those of these hosts (m1,w2), due or not, and touch no other host",
        "name": "issue those of these names (apiserver,etcd-peer), due or not",
        "all": "issue all of them, due or not",
    },
)
@reported
def renew(
    _: Context, cluster: str = "", host: str = "", name: str = "", all: bool = False, yes: bool = False, dry_run: bool = False,
    take_lock: bool = False, json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Issue what is due (or what is named), install it on the hosts, restart in a safe order, and prove what is served. Works with the API down."""
    from kbootstrap.engine import certs

    asked = certs.Asked(hosts=_list(host), names=_list(name), every=all)
    if asked.every and (asked.hosts or asked.names):
        raise UsageError("--all names everything already", hint="Leave --host and --name away, or --all.")
    carry_out(
        find_folder(cluster), lambda request: certs.renew(request, asked, dry=dry_run), limit=asked.hosts, yes=yes, dry_run=dry_run,
        take_lock=take_lock, ask=ask_sudo_password, fd=sudo_password_fd, json=json,
    )  # fmt: skip


def carry_out(
    folder: Folder, work: Callable[[Request], Outcome], *, limit: tuple[str, ...], yes: bool, dry_run: bool, take_lock: bool, ask: bool, fd: int,
    json: bool = False,
) -> None:  # fmt: skip
    """*work* with the user's consent, and what it found; what a dry run would do. Exit code 10: something is to be done still."""
    from kbootstrap.tasks import _request

    refused = [False]

    def confirm(wanted: Plan) -> bool:
        refused[0] = not (yes or _asked(wanted, quiet=json))
        return not refused[0]

    with _request.open_(folder, quiet=json, ask=ask, fd=fd, limit=limit, confirm=confirm, take_lock=take_lock) as request:
        outcome = work(request)
    if json:
        say(encoder.dumps(_data(outcome), indent=1))
    elif dry_run:
        _show(outcome.plan)
    if refused[0] or (dry_run and not outcome.empty):
        raise Exit(code=CHANGES)
    if not dry_run:
        _end(outcome, told=json)


def _data(outcome: Outcome) -> dict[str, Any]:
    from kbootstrap.report import data

    rows = [
        {"id": i.id, "serial": i.serial, "issuer": i.issuer, "not_after": i.not_after.isoformat(), "reason": i.reason}
        for i in outcome.prepared.issued
    ]
    return {"applied": outcome.applied, "issued": rows, **data.plan(outcome.plan), "checks": data.results(outcome.results)}


def _show(plan: Plan) -> None:
    from kbootstrap.report import text

    for line in text.plan(plan):
        say(line)


def _end(outcome: Outcome, *, told: bool) -> None:
    """What was found behind the work, unless it was *told* as JSON; VerifyError when a check failed."""
    from kbootstrap.report import text
    from kbootstrap.tasks import _request

    for line in () if told else text.results(outcome.results):
        say(line)
    _request.refuse_failed(outcome.results, told=not told)
    if told:
        return
    if outcome.applied:
        say("Every host serves its new certificates. What else the inventory may ask for was left alone: invoke cluster.plan")
    else:
        say("0 certificates to issue; every host serves what the PKI holds.")


@task(
    auto_shortflags=False,
    help=_HELP
    | {
        "ca": "what is rotated: cluster, etcd, front-proxy or service-account (the key that signs tokens)",
        "restart_workloads": "restart the Deployments, DaemonSets and StatefulSets whose pods run since before and use it",
        "leave_workloads": "go on although such pods, which are listed, may lose the API until somebody restarts them",
    },
)
@reported
def rotate(
    _: Context, ca: str, cluster: str = "", yes: bool = False, dry_run: bool = False, restart_workloads: bool = False,
    leave_workloads: bool = False, take_lock: bool = False, json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Replace a CA, or the key of tokens, while the cluster serves: trust both, reissue, drop the old one. Goes on where it was interrupted."""
    from kbootstrap.engine import rotate as rotating
    from kbootstrap.tasks import _request

    if ca not in rotating.KINDS:
        raise UsageError(f"--ca: there is no {ca or '«»'}", hint=f"There are {', '.join(rotating.KINDS)}.")
    asked = rotating.Asked(name=rotating.KINDS[ca], restart_workloads=restart_workloads, leave_workloads=leave_workloads)
    with _request.open_(
        find_folder(cluster),
        quiet=json,
        ask=ask_sudo_password,
        fd=sudo_password_fd,
        confirm=lambda wanted: yes or _asked(wanted, quiet=json),
        take_lock=take_lock,
    ) as request:
        outcome = rotating.run(request, asked, dry=dry_run)
    if json:
        say(encoder.dumps({"ca": ca, "applied": outcome.agreed and not dry_run, **outcome.data()}, indent=1))
    elif dry_run:
        for line in outcome.lines:
            say(line)
    if dry_run or not outcome.agreed:
        raise Exit(code=CHANGES)
    if outcome.waits:
        told = f"{counted(len(outcome.held), 'pod')} and {counted(len(outcome.tokens), 'secret')}, listed above, know only what goes."
        (complain if json else say)(f"Stopped before anything is cut off: {told}")
        (complain if json else say)(f"Restart them and run it again, or: invoke certs.rotate --ca {ca} --restart-workloads (or --leave-workloads)")
        raise Exit(code=CHANGES)
    if outcome.of_the_last:
        told = f"Nothing was rotated anew: the last rotation of {asked.name} had not ended on every host, and has now."
        (complain if json else say)(f"{told} For another one, run it again: invoke certs.rotate --ca {ca}")
        raise Exit(code=CHANGES)
    if not json:
        say(f"The rotation of {asked.name} is at its end.")
