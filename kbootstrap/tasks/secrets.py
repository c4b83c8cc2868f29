"""The key that seals secrets in etcd: which one does, and another one while the cluster serves."""

from __future__ import annotations

import json as encoder

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import VerifyError, counted
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import CHANGES, _asked

_WAY_IN = {"ask_sudo_password": "ask for sudo's password", "sudo_password_fd": "read sudo's password from this file descriptor"}


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "json": JSON_HELP, **_WAY_IN})
@reported
def show(_: Context, cluster: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1) -> None:
    """Which key seals how many secrets, read from etcd itself. Exit code 5: a rotation is under way, or a secret has another key than it should."""
    from kbootstrap.engine import secrets_rotate
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        found = secrets_rotate.show(request)
    if json:
        rows = {"writer": found.writer, "phase": found.phase.value, "counts": dict(found.counts), "strange": list(found.strange), "ok": found.ok}
        say(encoder.dumps(rows, indent=1))
    else:
        for key, count in found.counts.items():
            say(f"{'ok' if key == found.writer else '!!'}  {key}  {counted(count, 'secret')}")
        for each in found.strange:
            say(f"!!  {each}: this PKI does not have its key")
        say(f"{found.writer} seals what is written." + ("" if found.ok else " invoke secrets.rotate goes on where it stopped."))
    if not found.ok:
        raise Exit(code=VerifyError.exit_code)


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "yes": "do not ask",
        "dry_run": "show the steps; change nothing",
        "take_lock": "take the hosts' lock from a run that is known to be dead",
        **_WAY_IN,
    },
)
@reported
def rotate(
    _: Context, cluster: str = "", yes: bool = False, dry_run: bool = False, take_lock: bool = False, ask_sudo_password: bool = False,
    sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Seal all secrets in etcd by a new key, while the cluster serves: read by both, write by the new, rewrite all, drop the old. Resumable."""
    from kbootstrap.engine import secrets_rotate
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    with _request.open_(
        folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, confirm=lambda plan: yes or _asked(plan, quiet=False), take_lock=take_lock
    ) as request:
        outcome = secrets_rotate.run(request, dry=dry_run)
    if dry_run:
        for line in outcome.lines:
            say(line)
    if dry_run or not outcome.agreed:
        raise Exit(code=CHANGES)
    if outcome.of_the_last:
        say("No key was made: the last rotation had not ended on every host, and has now. For another one, run it again: invoke secrets.rotate")
        raise Exit(code=CHANGES)
    told = ", ".join(f"{counted(count, 'secret')} by {key}" for key, count in outcome.counts.items())
    say(f"Sealed: {told}. Every API server opens them all. A new backup of the PKI directory: invoke certs.backup")
