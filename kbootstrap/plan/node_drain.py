"""What draining a node asks of the API, as sh texts for a master, and what the answers mean: who cordoned it, and what keeps it from being empty."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kbootstrap.errors import Problem
from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.resources.difference import sh

CORDONED_BY: Final = "kbootstrap.io/cordoned-by"
"""The node's annotation that tells which command cordoned it and will take that back. A cordon without it is the operator's, and stays."""

DEADLINE_S: Final = 300.0
_MIRROR: Final = "kubernetes.io/config.mirror"
_OVER: Final = ("Succeeded", "Failed")
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A node as the API has it (*node* is empty where it has none), the pods on it, and every PodDisruptionBudget."""

    name: str
    node: Object
    pods: tuple[Object, ...]
    budgets: tuple[Object, ...]

    @property
    def cordoned(self) -> bool:
        return bool(self.node.get("spec", {}).get("unschedulable"))

    @property
    def cordoned_by(self) -> str:
        """The command of ours that cordoned it; "" where the operator did, or nobody."""
        return str(self.node.get("metadata", {}).get("annotations", {}).get(CORDONED_BY, "")) if self.cordoned else ""

    @property
    def ready(self) -> bool:
        return any(each["type"] == "Ready" and each["status"] == "True" for each in self.node.get("status", {}).get("conditions", ()))

    @property
    def leaving(self) -> tuple[Object, ...]:
        """The pods that a drain evicts: a DaemonSet's and the kubelet's own stay, what has run to its end does not count."""
        return tuple(pod for pod in self.pods if not _stays(pod) and pod.get("status", {}).get("phase") not in _OVER)


def look(host: Host, name: str) -> str:
    """sh text that prints what ``seen`` reads, asked of the API server of *host*."""
    ask = f"{kubectl(host)} --request-timeout=10s get -o json"
    pods = f"pods --all-namespaces {sh(f'--field-selector=spec.nodeName={name}')}"
    return (
        f"n=$({ask} --ignore-not-found node {sh(name)}) && p=$({ask} {pods}) && b=$({ask} poddisruptionbudgets --all-namespaces) || exit 1\n"
        'printf "%s\\n" "${n:-null}" "$p" "$b"\n'
    )


def seen(name: str, output: str) -> Seen:
    """ValueError if *output* is not what ``look`` prints."""
    decoder, found, text = json.JSONDecoder(), list[Any](), output.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    node, pods, budgets = found
    return Seen(name=name, node=node or {}, pods=tuple(pods["items"]), budgets=tuple(budgets["items"]))


def cordon(host: Host, name: str, by: str) -> str:
    """No new pod goes there. *by*: the command that will take it back; "" makes it the operator's own."""
    return _patch(host, name, by or None, cordoned=True)


def uncordon(host: Host, name: str) -> str:
    return _patch(host, name, None, cordoned=False)


def _patch(host: Host, name: str, by: str | None, *, cordoned: bool) -> str:
    document = {"metadata": {"annotations": {CORDONED_BY: by}}, "spec": {"unschedulable": True if cordoned else None}}
    return f"{kubectl(host)} --request-timeout=20s patch node {sh(name)} --type=merge --patch={sh(json.dumps(document))}\n"


def drain(host: Host, name: str, deadline_s: float, *, force: bool) -> str:
    """kubectl's own drain: it asks again every five seconds what a budget forbids, and waits until what it evicted is gone. What an emptyDir holds
    goes with its pod. *force*: pods that no controller would make anew go too."""
    options = f"--ignore-daemonsets --delete-emptydir-data --timeout={max(1, int(deadline_s))}s{' --force' if force else ''}"
    return f"{kubectl(host)} --request-timeout=20s drain {sh(name)} {options} 2>&1\n"


def nobodys(found: Seen) -> tuple[Problem, ...]:
    """The pods that would be lost for good: no controller makes them anew."""
    return tuple(
        Problem(
            where=_name(pod),
            what=f"runs on {found.name} and has no controller, so nobody would make it anew",
            hint="If it may be lost: --force.",
        )
        for pod in found.leaving
        if _controller(pod) is None and not pod["metadata"].get("deletionTimestamp")
    )


def blockers(found: Seen) -> tuple[Problem, ...]:
    """Each pod that is still there, why, and what helps."""
    return tuple(_blocker(found, pod) for pod in found.leaving)


def _blocker(found: Seen, pod: Object) -> Problem:
    where, meta = _name(pod), pod["metadata"]
    space, mine = meta["namespace"], tuple(_covering(found.budgets, pod))
    if since := meta.get("deletionTimestamp"):
        return Problem(where=where, what=f"is being deleted (by {since}) and does not end{_why_not(found, pod)}", hint=_ends(found, pod))
    if len(mine) > 1:
        names = ", ".join(each["metadata"]["name"] for each in mine)
        return Problem(
            where=where, what=f"more than one PodDisruptionBudget covers it ({names}); the API evicts no such pod", hint="Keep one of them."
        )
    for budget in mine:
        name, status = budget["metadata"]["name"], budget.get("status", {})
        healthy, needed = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        what = f"PodDisruptionBudget {space}/{name} allows no disruption: {healthy} healthy, {needed} needed"
        hint = f"More replicas on other hosts, or a looser budget: kubectl -n {space} describe pdb {name}"
        if healthy < needed:
            hint = f"Mend the pods that are not healthy: kubectl -n {space} get pods {_selector(budget)}".rstrip()
        return Problem(where=where, what=what, hint=hint)
    return Problem(where=where, what="was not evicted in time", hint=f"kubectl -n {space} describe pod {meta['name']}")


def _why_not(found: Seen, pod: Object) -> str:
    if not found.ready:
        return f": the kubelet of {found.name} does not answer"
    if finalizers := pod["metadata"].get("finalizers"):
        return f": it waits for {', '.join(finalizers)}"
    return ""


def _ends(found: Seen, pod: Object) -> str:
    if not found.ready:
        return f"Bring {found.name} back; if it is dead for good: invoke node.remove {found.name} --absent"
    meta = pod["metadata"]
    grace_s, describe = meta.get("deletionGracePeriodSeconds", 0), f"kubectl -n {meta['namespace']} describe pod {meta['name']}"
    return f"Its grace period is {grace_s} s: perhaps a longer --deadline. {describe}"


def _selector(budget: Object) -> str:
    labels = budget["spec"].get("selector", {}).get("matchLabels", {})
    return f"-l {','.join(f'{key}={value}' for key, value in labels.items())}" if labels else ""


def _name(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _controller(pod: Object) -> str | None:
    return next((str(owner["kind"]) for owner in pod["metadata"].get("ownerReferences", ()) if owner.get("controller")), None)


def _stays(pod: Object) -> bool:
    return _MIRROR in pod["metadata"].get("annotations", {}) or _controller(pod) == "DaemonSet"


def _covering(budgets: Iterable[Object], pod: Object) -> Iterator[Object]:
    """The budgets of the pod's namespace whose selector takes it; policy/v1: an empty selector takes all, a missing one none."""
    labels = pod["metadata"].get("labels", {})
    for budget in budgets:
        selector = budget["spec"].get("selector")
        if budget["metadata"]["namespace"] == pod["metadata"]["namespace"] and selector is not None and _selects(selector, labels):
            yield budget


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    wanted = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return wanted and all(_meets(each, labels) for each in selector.get("matchExpressions", ()))


def _meets(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values", ())
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
