"""How a host leaves a cluster that goes on: the sh texts, and what is told before."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from kbootstrap.errors import counted
from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl, kubectl
from kbootstrap.plan.leaving_sh import processes
from kbootstrap.report.etcd import Known
from kbootstrap.resources.difference import sh

# Controllers first, so that others take their leases at once; an API server ends its requests before its etcd goes; a kubelet that ran on would
# write the node that is deleted.
STOP: Final = """\
for u in kube-controller-manager.service kube-scheduler.service kube-apiserver.service kubelet.service; do
  [ "$(systemctl show -p LoadState --value $u)" != loaded ] || systemctl stop $u
done
"""

# Of a host whose kubelet does not answer: pods that nobody evicted would go on writing beside those that take their place.
END_PODS: Final = """\
[ "$(systemctl show -p LoadState --value containerd.service)" != loaded ] || systemctl stop containerd.service
""" + processes(("containerd.service",))

_HAND_OVER: Final = """\
for id in {ids}; do
  {etcdctl} move-leader $id >/dev/null 2>&1 && break
done
exit 0
"""


def hand_over(host: Host, staying: Sequence[Known]) -> str:
    """If the member of *host* leads, one of *staying* does afterwards: no election is waited for. It never fails."""
    return _HAND_OVER.format(ids=" ".join(each.id for each in staying) or "''", etcdctl=etcdctl(host))


def forget_nodes(host: Host, names: Sequence[str]) -> str:
    """Through the API of *host*: their pods are made anew elsewhere, and no route, endpoint or volume waits for them."""
    return f"{kubectl(host)} --request-timeout=30s delete node {sh(*names)} --ignore-not-found --wait=false\n"


def undrained(host: Host, pods: int) -> str:
    """Of a host that is there, and whose kubelet does not answer."""
    return (
        f"{host.name}: its kubelet does not answer; what runs there ({counted(pods, 'pod')}) is ended without asking budgets, and made anew elsewhere"
    )


def told(host: Host, *, node: str, dead: str, member: bool, stays: bool) -> Iterator[str]:
    """What will happen to *host*. *node*: what a drain would do; *dead*: why it is not reached; *member* of etcd."""
    if dead:
        yield f"{host.name}: does not answer ({dead}); its pods are made anew elsewhere, nothing on it is cleaned"
    elif node:
        yield node
    steps = [*(["its member leaves etcd"] if member else []), *(["its node is deleted"] if node or dead else [])]
    steps += [] if dead else ["the host is cleaned by its ledger"]
    steps += [] if stays else ["it is taken out of cluster.yml"]
    yield f"{host.name}: {'; '.join(steps)}"


def odds(voters: int, going: int, *, stays: bool) -> Iterator[str]:
    """What etcd bears afterwards, where *going* of *voters* leave."""
    left = voters - going
    if going and stays:
        yield f"etcd: {left} members until the new one has joined; it then survives {(left - 1) // 2} failures, not {(voters - 1) // 2}"
    elif going:
        yield f"etcd: {voters} → {left} members; it then survives {(left - 1) // 2} failures, not {(voters - 1) // 2}"


def voting(members: Sequence[Known], without: Collection[str] = ()) -> tuple[Known, ...]:
    """The members that vote, but those called *without*."""
    return tuple(each for each in members if not each.learner and each.name not in without)
