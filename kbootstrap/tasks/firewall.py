"""The hosts' own firewalls: ``firewall.show``, ``firewall.plan``, ``firewall.apply``, ``firewall.remove``."""

from __future__ import annotations

import json as encoder
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.catalog.ports import NODEPORT_TCP
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import CHANGES, _asked, _list

if TYPE_CHECKING:
    from kbootstrap.engine.firewall import Shown
    from kbootstrap.model.plan import Plan

_HELP = {
    "cluster": CLUSTER_HELP,
    "limit": "only these hosts (m1,w2)",
    "json": JSON_HELP,
    "ask_sudo_password": "ask for sudo's password",
    "sudo_password_fd": "read sudo's password from this file descriptor",
}
_CHANGING = {key: value for key, value in _HELP.items() if key != "json"} | {"take_lock": "take the hosts' lock from a run that is known to be dead"}


@task(auto_shortflags=False, help=_HELP)
@reported
def show(
    _: Context, cluster: str = "", limit: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:  # fmt: skip
    """Show what filters on each host, whether our rules are in it, and what the table of ports lets in; changes nothing."""
    from kbootstrap.engine import firewall
    from kbootstrap.report import firewall as words
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit)) as request:
        found, left_out = firewall.show(request)
    rows = [_row(shown) for shown in found]
    say(encoder.dumps({"hosts": rows}, indent=1) if json else "\n".join(words.lines(rows)))
    _request.refuse_unread(left_out)


def _row(shown: Shown) -> dict[str, Any]:
    return {
        "host": shown.host.name,
        "manage": shown.host.firewall.manage.value,
        "strict": shown.host.firewall.strict,
        "filters": list(shown.seen.filters),
        "allowed": list(shown.seen.allowed),
        "wanted": list(shown.wanted),
        "lacks": shown.lacks,
        "notes": list(_notes(shown)),
    }


def _notes(shown: Shown) -> Iterator[str]:
    """What the tool itself lets through, and no rule of ours."""
    if shown.seen.firewalld and not shown.host.firewall.strict and not any(NODEPORT_TCP.purpose in rule for rule in shown.wanted):
        yield "firewalld forwards whatever was translated: NodePorts answer on this host too; firewall: {strict: true} closes them"


@task(auto_shortflags=False, help=_HELP)
@reported
def plan(
    _: Context, cluster: str = "", limit: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:  # fmt: skip
    """Show what `firewall.apply` would open, and why; changes nothing. Exit code 0: nothing to do, 10: changes."""
    from kbootstrap.engine import firewall
    from kbootstrap.report import data, text
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit)) as request:
        found = firewall.plan(request)
    wanted = found.plan
    say(encoder.dumps(data.plan(wanted), indent=1) if json else "\n".join(text.plan(wanted, unread=[each.where for each in found.left_out])))
    _request.refuse_unread(found.left_out)
    if not wanted.empty:
        raise Exit(code=CHANGES)


@task(auto_shortflags=False, help=_CHANGING | {"yes": "do not ask"})
@reported
def apply(
    _: Context, cluster: str = "", limit: str = "", yes: bool = False, take_lock: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Let in what the cluster needs, and nothing else. A host takes the change back unless a new SSH connection confirms it within a minute."""
    from kbootstrap.engine import firewall
    from kbootstrap.tasks import _request

    refused = [False]

    def confirm(wanted: Plan) -> bool:
        refused[0] = not (yes or _asked(wanted, quiet=False))
        return not refused[0]

    folder = find_folder(cluster)
    with _request.open_(
        folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), confirm=confirm, take_lock=take_lock
    ) as request:  # fmt: skip
        done = firewall.run(request)
    if refused[0]:
        raise Exit(code=CHANGES)
    say("What the cluster needs is let in." if done.applied else "0 changes: every firewall lets in what the cluster needs.")


@task(auto_shortflags=False, help=_CHANGING)
@reported
def remove(
    _: Context, cluster: str = "", limit: str = "", take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1
) -> None:  # fmt: skip
    """Take our rules, and no others, away from the hosts' firewalls. `cluster.up` brings them back unless the inventory says manage: false."""
    from kbootstrap.engine import firewall
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit), take_lock=take_lock) as request:
        for line in firewall.remove(request):
            say(line)
