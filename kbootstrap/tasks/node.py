"""Hosts for years: ``drain``, ``uncordon``, ``reboot``, ``remove``, ``replace``. Growing needs no command: edit the inventory, ``cluster.up``."""

from __future__ import annotations

import json as encoder

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import JSON_HELP, find_folder, reported, say
from kbootstrap.tasks._node_asking import COMMON, DRAINING, TAKE_LOCK, agreed, wanted

_NAMES = "the hosts: w1,w2 (the word --names may be left out)"
_OF_ONE = "the host, one (the word --names may be left out)"


@task(auto_shortflags=False, help={"names": _NAMES, **COMMON, **DRAINING, "json": JSON_HELP})
@reported
def drain(
    _: Context, names: str, cluster: str = "", deadline: int = 300, force: bool = False, yes: bool = False, json: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Cordon nodes and move their pods elsewhere; what a PodDisruptionBudget forbids is waited for, then named. They stay cordoned."""
    from kbootstrap.engine import node_asked
    from kbootstrap.tasks import _request

    agree = agreed("Drain?", yes=yes, quiet=json)
    asked = wanted(names, deadline=deadline, force=force, agree=agree)
    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        done = node_asked.drain(request, asked)
    if json:
        say(encoder.dumps({"drained": list(asked.names) if done else []}, indent=1))
    elif done:
        say(f"drained: {', '.join(asked.names)}. They take pods again after: invoke node.uncordon {','.join(asked.names)}")
    agree.or_exit()


@task(auto_shortflags=False, help={"names": _NAMES, **{key: text for key, text in COMMON.items() if key != "yes"}, "json": JSON_HELP})
@reported
def uncordon(_: Context, names: str, cluster: str = "", json: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1) -> None:
    """Let nodes take pods again."""
    from kbootstrap.engine import node_asked
    from kbootstrap.tasks import _request

    asked = wanted(names)
    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        done = node_asked.uncordon(request, asked.names)
    if json:
        say(encoder.dumps({"uncordoned": list(done)}, indent=1))
    else:
        say(f"uncordoned: {', '.join(done)}" if done else f"{', '.join(asked.names)}: not cordoned, nothing to do")


@task(
    auto_shortflags=False,
    positional=(),
    help={
        "names": _NAMES,
        "all": "every host: workers first, then masters, etcd's leader last; those that do not answer are left out",
        "outage": "although etcd has no quorum while a host is away",
        "back": "how many seconds a host may need to serve again",
        **COMMON,
        **TAKE_LOCK,
        **DRAINING,
    },
)
@reported
def reboot(
    _: Context, names: str = "", all: bool = False, cluster: str = "", deadline: int = 300, force: bool = False, back: int = 600,
    outage: bool = False, yes: bool = False, take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Reboot hosts one at a time: drain, reboot, wait until it serves as before, uncordon, next. Refuses what would cost etcd its quorum."""
    from kbootstrap.engine import node_reboot
    from kbootstrap.tasks import _request

    agree = agreed("Reboot?", yes=yes)
    asked = wanted(names, deadline=deadline, force=force, agree=agree)
    wish = node_reboot.Wish(asked=asked, every=all, outage=outage, back_s=back)
    with _request.open_(find_folder(cluster), quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        for line in node_reboot.reboot(request, wish):
            say(line)
    agree.or_exit()


@task(
    auto_shortflags=False,
    help={
        "names": f"{_NAMES}; several masters at once, so that their number stays odd",
        "absent": "those that do not answer are dead for good: they are not cleaned",
        **COMMON,
        **TAKE_LOCK,
        **DRAINING,
    },
)
@reported
def remove(
    _: Context, names: str, cluster: str = "", absent: bool = False, deadline: int = 300, force: bool = False, yes: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Take hosts out of the cluster: drain, etcd member, node, clean the host, then cluster.yml. Refuses what would break etcd's quorum."""
    from kbootstrap.engine import node_remove
    from kbootstrap.engine.node_leave import Wish
    from kbootstrap.tasks import _request

    agree = agreed("Remove?", yes=yes)
    wish = Wish(asked=wanted(names, deadline=deadline, force=force, agree=agree), absent=absent)
    with _request.open_(find_folder(cluster), quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        for line in node_remove.remove(request, wish):
            say(line)
    agree.or_exit()


@task(
    auto_shortflags=False,
    help={"names": _OF_ONE, "absent": "the old machine does not answer and is dead for good: it is not cleaned", **COMMON, **TAKE_LOCK, **DRAINING},
)
@reported
def replace(
    _: Context, names: str, cluster: str = "", absent: bool = False, deadline: int = 300, force: bool = False, yes: bool = False,
    take_lock: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Make room for a new machine under the same name, any master too: the old one leaves, cluster.yml stays; `cluster.up` brings the new one in."""
    from kbootstrap.engine import node_remove
    from kbootstrap.engine.node_leave import Wish
    from kbootstrap.tasks import _request

    agree = agreed("Replace?", yes=yes)
    asked = wanted(names, deadline=deadline, force=force, agree=agree)
    wish = Wish(asked=asked, absent=absent, stays=True, command="node.replace")
    with _request.open_(find_folder(cluster), quiet=False, ask=ask_sudo_password, fd=sudo_password_fd, take_lock=take_lock) as request:
        for line in node_remove.replace_host(request, wish):
            say(line)
    agree.or_exit()
