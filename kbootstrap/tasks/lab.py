"""Practice hosts on this machine: ``lab.up``, ``lab.status``, ``lab.ssh``, ``lab.down``."""

from __future__ import annotations

import json
import os
import sys

from invoke.context import Context
from invoke.tasks import task

from kbootstrap import lab as labs

_NAME = "which lab (several may stand side by side)"


@task(
    auto_shortflags=False,
    help={
        "masters": "how many masters (m1, m2 …)",
        "workers": "how many workers (w1, w2 …)",
        "name": _NAME,
        "mirror": "Debian mirror for the base image; the machine's own apt source by default",
        "json": "the lab as JSON",
    },
)
def up(_: Context, masters: int = 3, workers: int = 2, name: str = "lab", mirror: str = "", json: bool = False) -> None:
    """Make practice hosts with real systemd, sshd and firewall, and their inventory in inventory/<name>. Root only."""
    lab = labs.up(name=name, masters=masters, workers=workers, mirror=mirror, say=_note)
    _show(lab, as_json=json)


@task(auto_shortflags=False, help={"name": _NAME, "json": "the same as JSON"})
def status(_: Context, name: str = "lab", json: bool = False) -> None:
    """Show the practice hosts: address, login, whether they run and answer."""
    _show(labs.find(name), as_json=json)


@task(auto_shortflags=False, positional=["host"], help={"host": "m1, w1 …", "name": _NAME, "command": "run this instead of a shell"})
def ssh(_: Context, host: str, name: str = "lab", command: str = "") -> None:
    """Log in to a practice host with the real ssh client, the lab's key and its known host keys."""
    lab = labs.find(name)
    argv = labs.ssh_argv(lab, lab.host(host))
    os.execvp(argv[0], [*argv, *([command] if command else [])])  # noqa: S606  the terminal is the user's


@task(auto_shortflags=False, help={"name": _NAME})
def down(_: Context, name: str = "lab") -> None:
    """Remove the practice hosts and all that belongs to them, also after a crash; their data is lost."""
    labs.down(name, say=_note)


def _show(lab: labs.Lab, *, as_json: bool) -> None:
    rows = [
        {
            "host": s.host.name,
            "address": str(s.host.address),
            "role": str(s.host.role),
            "login": s.host.login,
            "pid": s.pid,
            "ssh": s.ssh,
        }
        for s in labs.status(lab)
    ]
    if as_json:
        text = json.dumps({"lab": lab.name, "network": str(lab.network), "inventory": str(lab.folder), "hosts": rows}, indent=2)
    else:
        text = "\n".join(f"{r['host']:<4} {r['address']:<15} {r['role']:<7} {r['login']:<5} {_state(r)}" for r in rows)
    sys.stdout.write(f"{text}\n")


def _state(row: dict[str, object]) -> str:
    if not row["pid"]:
        return "off"
    return f"runs (pid {row['pid']}), {'ssh answers' if row['ssh'] else 'ssh is silent'}"


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")
