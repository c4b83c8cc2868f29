"""``etcd.restore``, ``etcd.recover``, ``etcd.defrag`` and ``etcd.alarms``. ``etcd.py`` lists them beside the others."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import UsageError, VerifyError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, ask, find_folder, reported, say
from kbootstrap.tasks.cluster import CHANGES

if TYPE_CHECKING:
    from kbootstrap.engine.etcd_restore import Outcome

_WAY_IN = {"ask_sudo_password": "ask for sudo's password", "sudo_password_fd": "read sudo's password from this file descriptor"}
_HELP = {
    "cluster": CLUSTER_HELP,
    "yes": "do not ask for the cluster's name",
    "take_lock": "take the hosts' lock from a run that is known to be dead",
    **_WAY_IN,
}


@task(
    auto_shortflags=False,
    help=_HELP
    | {
        "snapshot": "the file that etcd.snapshot wrote; its sidecar lies beside it (the word --snapshot may be left out)",
        "replace": "although etcd has a quorum: what it serves now is given up",
        "without_sidecar": "believe that a file without a sidecar is of this cluster",
    },
)
@reported
def restore(
    _: Context, snapshot: str, cluster: str = "", replace: bool = False, without_sidecar: bool = False, yes: bool = False, take_lock: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Begin etcd of all masters anew from a snapshot, then API servers and controllers. Old data is renamed; goes on where it was interrupted."""
    from kbootstrap.engine import etcd_restore
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    asked = etcd_restore.Asked(replace=replace, foreign=without_sidecar, confirm=_confirm(folder.name, yes=yes))
    with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        outcome = etcd_restore.restore(request, Path(snapshot), asked)
    _end(outcome)


@task(auto_shortflags=False, help=_HELP)
@reported
def recover(
    _: Context, cluster: str = "", yes: bool = False, take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:
    """The quorum is lost for good and one member's data is left: save its database here, then begin etcd of all masters anew from it."""
    from kbootstrap.engine import etcd_recover, etcd_restore
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    asked = etcd_restore.Asked(confirm=_confirm(folder.name, yes=yes))
    with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        outcome = etcd_recover.recover(request, asked)
    _end(outcome)


def _confirm(name: str, *, yes: bool) -> Callable[[Sequence[str]], bool]:
    """Shows what will happen, and asks for the cluster's name."""

    def asked(lines: Sequence[str]) -> bool:
        for line in lines:
            say(line)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                "this replaces all that etcd holds, and nobody is there to be asked; nothing was restored",
                hint="Say --yes when there is no terminal to ask on.",
            )
        return ask(f"Type the cluster's name ({name}) to go on: ") == name

    return asked


def _end(outcome: Outcome) -> None:
    from kbootstrap.report import text
    from kbootstrap.tasks import _request

    if outcome.already:
        say(f"This snapshot was restored on all masters at {outcome.already}, and etcd has a quorum: nothing to do. Again all the same: --replace")
        return
    if not outcome.applied:
        say(outcome.done or "Nothing was changed.")
        raise Exit(code=CHANGES)
    for line in text.results(outcome.results):
        say(line)
    for host, place in outcome.old.items():
        say(f"{host} keeps its former data. When it is surely not needed: ssh {host} rm -rf {place}")
    _request.refuse_failed(outcome.results)
    say("etcd was restored. Clients that watch have been told that their history is gone, and list again. invoke cluster.plan compares the rest.")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **_WAY_IN})
@reported
def defrag(_: Context, cluster: str = "", ask_sudo_password: bool = False, sudo_password_fd: int = -1) -> None:
    """Give free space inside etcd's databases back to the disks: one member at a time, the leader last, each healthy before the next."""
    from kbootstrap.engine import etcd_care
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=False, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        for won in etcd_care.defrag(request):
            say(f"{won.host}: {won.before / 1e6:.1f} MB before, {won.after / 1e6:.1f} MB after, {max(0, won.before - won.after) / 1e6:.1f} MB won")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "disarm": "end them, once their cause is mended", "json": JSON_HELP, **_WAY_IN})
@reported
def alarms(
    _: Context, cluster: str = "", disarm: bool = False, json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:
    """List etcd's alarms (NOSPACE, CORRUPT) and what to do about each; end them with --disarm. Exit code 5 while one is there."""
    from kbootstrap.engine import etcd_care
    from kbootstrap.report.etcd import HINTS
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        found, disarmed = etcd_care.alarms(request, disarm=disarm)
    if json:
        rows = [{"member": found.host_of(a.member), "kind": a.kind} for a in found.alarms]
        say(encoder.dumps({"alarms": rows, "disarmed": disarmed, "quorum": found.quorum}, indent=1))
    else:
        for alarm in found.alarms:
            say(f"{found.host_of(alarm.member)}  {alarm.kind}  {HINTS.get(alarm.kind, '')}")
        say("no alarms" if not found.alarms else f"{len(found.alarms)} alarms")
    if found.alarms:
        raise Exit(code=VerifyError.exit_code)
