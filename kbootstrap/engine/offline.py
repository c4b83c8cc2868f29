"""``offline: true``: nothing is fetched, nobody but the inventory's hosts is spoken to, and everything that is missing is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from kbootstrap.errors import ConnectError, OfflineError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Ssh
from kbootstrap.store import egress

A = TypeVar("A")
B = TypeVar("B")


def confine(spec: ClusterSpec) -> None:
    """From now on this process speaks to the hosts of *spec* alone, if it is offline; else to whom it likes."""
    if not spec.artifacts.offline:
        egress.confine(None)
        return
    names = {name for host in spec.hosts for name in (str(host.address), host.ssh.host, *_first_hop(host.ssh))}
    egress.confine({*names, *filter(None, [spec.endpoint.address])})


def _first_hop(ssh: Ssh) -> Iterator[str]:
    """Whom this machine dials for it: the bastion of cluster.yml, or what ``~/.ssh/config`` says, which is the operator's own way in."""
    from kbootstrap.remote import sshconfig  # noqa: PLC0415  paramiko: certs.show asks no host

    with suppress(ConnectError):  # nor can it be logged in by it; who tries says so
        way = sshconfig.resolve(ssh)
        while way.via is not None:
            way = way.via
        yield way.dial[0]


def both(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """What both give. OfflineError with what either lacks."""
    try:
        one = first()
    except OfflineError as error:
        try:
            second()
        except OfflineError as other:
            problems = (*error.problems, *other.problems)
            raise OfflineError(
                f"offline: true, and {len(problems)} files are not here; nobody was asked", hint=error.hint, problems=problems
            ) from None
        raise
    return one, second()


def proof(spec: ClusterSpec) -> str:
    """What became of it, as a person reads it; "" where the cluster is not offline."""
    if not spec.artifacts.offline:
        return ""
    made = egress.counted()
    where = f"to hosts of cluster.yml or on the way to them ({len(made)} addresses)"
    return f"offline: {sum(made.values())} connections, all {where}; any other would have been refused"
