"""``node.drain`` and ``node.uncordon``, and what all of ``node.*`` are asked: hosts by name, a plan in words that somebody agrees to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kbootstrap.engine import node_drain
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import KbError, UsageError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.plan.node_drain import DEADLINE_S, Seen
from kbootstrap.remote.pool import Pool
from kbootstrap.store.lock import hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*names* of hosts; *deadline_s* of a drain; *force*: pods that no controller makes anew go too. *confirm* is asked with what will happen."""

    names: tuple[str, ...] = ()
    deadline_s: float = DEADLINE_S
    force: bool = False
    confirm: Callable[[Sequence[str]], bool] = lambda lines: True


def named(spec: ClusterSpec, names: Sequence[str]) -> tuple[Host, ...]:
    """The hosts called *names*, in the inventory's order. UsageError for none, and for one that is no host's."""
    known = ", ".join(host.name for host in spec.hosts)
    if not names:
        raise UsageError("no host is named", hint=f"There are {known}.")
    if unknown := [name for name in names if name not in {host.name for host in spec.hosts}]:
        raise UsageError(f"no host is called {', '.join(unknown)}", hint=f"There are {known}.")
    return tuple(host for host in spec.hosts if host.name in names)


def drain(request: Request, asked: Asked) -> bool:
    """Whether it was agreed to, and done: the nodes are empty then, and cordoned as the operator's own. Raises as ``node_drain.drain``."""
    with hold(request.folder.root, "node.drain"):
        known = contact(request.folder)
        names = [host.name for host in named(known.spec, asked.names)]
        with request.connect(known) as pool:
            found = [node_drain.look(known, pool, name) for name in names]
            node_drain.refuse(found, force=asked.force)
            if not asked.confirm([*(describe(each, asked) for each in found), *_nowhere(known.spec, names)]):
                return False
            try:
                node_drain.drain(known, pool, request.listener, names, deadline_s=asked.deadline_s, force=asked.force)
            except KbError as error:
                error.hint = error.hint or f"They stay cordoned. Run it again, or take it back: invoke node.uncordon {','.join(names)}"
                raise
    return True


def _nowhere(spec: ClusterSpec, names: Sequence[str]) -> Iterator[str]:
    """Budgets of what runs there, CoreDNS among it, then forbid the eviction of the last replica until the deadline."""
    if spec.workers and not [host for host in spec.workers if host.name not in names]:
        yield "no other worker takes their pods: they wait until one does, and those with a budget do not leave"


def uncordon(request: Request, names: Sequence[str]) -> tuple[str, ...]:
    """Those of *names* that were cordoned, and are no more."""
    with hold(request.folder.root, "node.uncordon"):
        known = contact(request.folder)
        hosts = named(known.spec, names)
        with request.connect(known) as pool:
            return node_drain.uncordon(known, pool, request.listener, [host.name for host in hosts])


def describe(found: Seen, asked: Asked) -> str:
    """``w1: cordon; 7 pods leave …``."""
    if not found.node:
        return f"{found.name}: is no node of the cluster"
    state = "is cordoned already" if found.cordoned else "cordon"
    pods = len(found.leaving)
    leave = f"{pods} pod{'' if pods == 1 else 's'} leave{'s' if pods == 1 else ''}, budgets respected, within {asked.deadline_s:g} s"
    return f"{found.name}: {state}; {leave if pods else 'no pod has to leave'}"


def seen(prepared: Prepared, pool: Pool, hosts: Sequence[Host]) -> dict[str, Seen]:
    """Each host's node as the API has it."""
    return {host.name: node_drain.look(prepared, pool, host.name) for host in hosts}
