"""etcd for years: how it is, a copy of it, the way back from one, and its upkeep."""

from __future__ import annotations

import json as encoder
import shlex
from dataclasses import asdict
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import VerifyError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks._etcd_acting import alarms, defrag, recover, restore

__all__ = ("alarms", "defrag", "recover", "restore", "snapshot", "status", "timer")
_WAY_IN = {"ask_sudo_password": "ask for sudo's password", "sudo_password_fd": "read sudo's password from this file descriptor"}


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "json": JSON_HELP, **_WAY_IN})
@reported
def status(_: Context, cluster: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1) -> None:
    """Members, leader, lag, database size, alarms, p99 of disk and peers; works with members down. Exit code 5: no quorum, or an alarm."""
    from kbootstrap.engine import etcd_status
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        found = etcd_status.status(request)
    say(encoder.dumps(found.data(), indent=1) if json else "\n".join(found.lines()))
    if not found.ok:
        raise Exit(code=VerifyError.exit_code)


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "to": "the folder to put it into; by default inventory/<cluster>/snapshots",
        "keep": "then remove all but so many of the newest snapshots of this cluster there, and the one of its last upgrade; 0 keeps all",
        "json": JSON_HELP,
        **_WAY_IN,
    },
)
@reported
def snapshot(
    _: Context, cluster: str = "", to: str = "", keep: int = 0, json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:
    """Copy etcd's database to this machine, verified, with a sidecar that says what it is. Nothing stays on the hosts."""
    from kbootstrap.engine import etcd_snapshot
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        taken = etcd_snapshot.snapshot(request, to=Path(to) if to else None, keep=keep)
    if json:
        say(encoder.dumps({"path": str(taken.path), **asdict(taken.snapshot), "removed": [str(each) for each in taken.removed]}, indent=1))
        return
    found = taken.snapshot
    say(
        f"{taken.path}  {found.size / 1e6:.1f} MB, {found.keys} keys, revision {found.revision}, from {found.host} (0600, sha256 {found.sha256[:16]})"
    )
    for path in taken.removed:
        say(f"removed {path}")


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "at": "when, as systemd.time(7) has it (default: every night at 03:10)",
        "keep": "how many snapshots of this cluster are kept; 0 keeps all",
        "to": "the folder to put them into; by default inventory/<cluster>/snapshots",
    },
)
@reported
def timer(_: Context, cluster: str = "", at: str = "", keep: int = 14, to: str = "") -> None:
    """Write the systemd units by which this machine takes a snapshot every night, and say how to enable them. Asks no host."""
    from kbootstrap.engine import etcd_timer

    units = etcd_timer.write(find_folder(cluster), at=at or etcd_timer.AT, keep=keep, to=Path(to) if to else None)
    say(f"{units.service}\n{units.timer}")
    say(f"Enable them:  sudo systemctl link {shlex.quote(str(units.service))} && sudo systemctl enable --now {shlex.quote(str(units.timer))}")
    say(f"Try one now:  sudo systemctl start {units.service.name} && journalctl -u {units.service.name} -n 5")
    say("It runs unasked: the key to the masters has no passphrase then, and sudo there asks for no password.")
