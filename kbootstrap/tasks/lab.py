"""Practice hosts on this machine: ``lab.up``, ``lab.status``, ``lab.ssh``, ``lab.down``."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import JSON_HELP, complain, reported, say

if TYPE_CHECKING:
    from kbootstrap.lab import HostStatus, Lab

_NAME = "which lab (several may stand side by side)"


@task(
    auto_shortflags=False,
    help={
        "masters": "how many masters (m1, m2 …)",
        "workers": "how many workers (w1, w2 …)",
        "name": _NAME,
        "mirror": "Debian mirror for the base image; the machine's own apt source by default",
        "packages": "Debian packages that the hosts have beside the usual ones, comma-separated (ufw, firewalld)",
        "json": JSON_HELP,
    },
)
@reported
def up(_: Context, masters: int = 3, workers: int = 2, name: str = "lab", mirror: str = "", packages: str = "", json: bool = False) -> None:
    """Make practice hosts with real systemd, sshd and firewall, and their inventory in inventory/<name>. Root only."""
    from kbootstrap import lab
    from kbootstrap.tasks import _lab

    _lab.refuse_size(masters)
    extra = tuple(part.strip() for part in packages.split(",") if part.strip())
    _show(lab.up(name=name, masters=masters, workers=workers, packages=extra, mirror=mirror, say=complain), as_json=json)


@task(auto_shortflags=False, help={"name": _NAME, "json": JSON_HELP})
@reported
def status(_: Context, name: str = "lab", json: bool = False) -> None:
    """Show the practice hosts: address, login, whether they run and answer."""
    from kbootstrap import lab

    _show(lab.find(name), as_json=json)


@task(
    auto_shortflags=False,
    positional=["host"],
    help={"host": "m1, w1 …", "name": _NAME, "command": "run this instead of a shell; or say it after --"},
)
@reported
def ssh(_: Context, host: str, name: str = "lab", command: str = "") -> None:
    """Log in to a practice host with the real ssh client, the lab's key and its known host keys: `lab.ssh m1 -- uname -a`."""
    from kbootstrap import lab
    from kbootstrap.tasks import _lab

    if host.startswith("-"):  # plain `invoke` gives --help as the host
        raise UsageError(f"{host} is no host", hint="invoke --help lab.ssh")
    wanted = _lab.remote_command(command, sys.argv)
    found = lab.find(name)
    argv = lab.ssh_argv(found, found.host(host))
    if shutil.which(argv[0]) is None:
        raise UsageError("the ssh client is not installed", hint="Debian, Ubuntu: apt-get install openssh-client")
    os.execvp(argv[0], [*argv, *wanted])  # noqa: S606  the terminal is the user's, the exit code ssh's


@task(auto_shortflags=False, help={"name": _NAME})
@reported
def down(_: Context, name: str = "lab") -> None:
    """Remove the practice hosts and all that belongs to them, also after a crash; their data is lost."""
    from kbootstrap import lab

    lab.down(name, say=complain)


def _show(found: Lab, *, as_json: bool) -> None:
    import json

    from kbootstrap import lab

    states = lab.status(found)
    if as_json:
        rows = [_row(state) for state in states]
        say(json.dumps({"lab": found.name, "network": str(found.network), "inventory": str(found.folder), "hosts": rows}, indent=2))
    else:
        for state in states:
            say(f"{state.host.name:<4} {state.host.address!s:<15} {state.host.role:<7} {state.host.login:<5} {_words(state)}")


def _row(state: HostStatus) -> dict[str, object]:
    host = state.host
    return {"host": host.name, "address": str(host.address), "role": str(host.role), "login": host.login, "pid": state.pid, "ssh": state.ssh}


def _words(state: HostStatus) -> str:
    if not state.pid:
        return "off"
    return f"runs (pid {state.pid}), {'ssh answers' if state.ssh else 'ssh is silent'}"
