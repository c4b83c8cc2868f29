"""``offline: true``: nothing is fetched, nobody but the inventory's hosts is spoken to, and everything that is missing is told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kbootstrap.errors import OfflineError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.store import egress

A = TypeVar("A")
B = TypeVar("B")


def confine(spec: ClusterSpec) -> None:
    """From now on this process speaks to the hosts of *spec* alone, if it is offline; else to whom it likes."""
    if not spec.artifacts.offline:
        egress.confine(None)
        return
    bastions = [host.ssh.bastion.host for host in spec.hosts if host.ssh.bastion is not None]
    egress.confine(
        [*(str(host.address) for host in spec.hosts), *(host.ssh.host for host in spec.hosts), *bastions, *filter(None, [spec.endpoint.address])]
    )


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
    return f"offline: {sum(made.values())} connections, all to hosts of cluster.yml ({len(made)} addresses); any other would have been refused"
