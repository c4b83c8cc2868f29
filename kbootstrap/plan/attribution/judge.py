"""From evidence to the cause: where the probe's packets ended, by which rule of whom, or what else keeps them from their goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from kbootstrap.model.reach import Pair, Verdict
from kbootstrap.plan.attribution import kernel
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.naming import Blame, by_counters, by_trace, by_translation
from kbootstrap.plan.attribution.trace import Packet


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One failing pair with what its two hosts said."""

    pair: Pair
    verdict: Verdict
    flow: Flow
    source: Evidence
    target: Evidence

    @property
    def left(self) -> Packet | None:
        """The question as it left the source."""
        return self.source.asked(self.flow, outgoing=True)

    @property
    def came(self) -> Packet | None:
        """The question as it came to the target."""
        return self.target.asked(self.flow, outgoing=False)


def blame(case: Case) -> Blame | None:
    """The first that holds, in the order in which a packet would meet it; None if nothing explains the failure."""
    return next(_reasons(case), None)


def _reasons(case: Case) -> Iterator[Blame]:
    for reason in (_no_way, _leaving, _arriving, _translated, _inside, _answer, _unheard, _other_source, _between, _lost_answer):
        if found := reason(case):
            yield found


def _no_way(case: Case) -> Blame | None:
    return _way(case.source, case.flow.target, case.pair.target)


def _way(evidence: Evidence, to: IPv4Address, name: str) -> Blame | None:
    """A route that leads nowhere, or back into the host itself."""
    way = evidence.ways.get(to)
    if way is None or way.leads:
        return None
    if way.kind == "local":
        hint = f"on {evidence.host}: ip addr show   (it has {to} itself, which is {name} in the inventory)"
        return Blame(host=evidence.host, stack="route", verdict="routed elsewhere", rule=way.text, hint=hint)
    route = kernel.special(evidence.special, to)
    command = f"ip route del {route}" if route else f"ip route add {to}/32 via GATEWAY   (no route holds {to})"
    return Blame(host=evidence.host, stack="route", verdict="no route", rule=route or way.text, hint=f"on {evidence.host}: {command}")


def _leaving(case: Case) -> Blame | None:
    """The source's own firewall."""
    packet = case.left
    if packet and packet.end:
        return by_trace(case.source, packet, packet.end)
    if packet and packet.passed:
        return None
    return by_counters(case.source, case.flow, "output")


def _arriving(case: Case) -> Blame | None:
    """The target's rules, for itself and for what it forwards."""
    packet = case.came
    if packet and packet.end:
        return by_trace(case.target, packet, packet.end)
    if (packet and packet.passed) or (case.target.traced and not packet):
        return None
    return by_counters(case.target, case.flow, "input") or by_counters(case.target, case.flow, "forward")


def _translated(case: Case) -> Blame | None:
    """A rule gave it another goal, where nobody or somebody else answered."""
    if case.verdict not in (Verdict.REFUSED, Verdict.WRONG_HOST):
        return None
    for evidence, packet in ((case.source, case.left), (case.target, case.came)):
        step = next((step for step in packet.steps if step.translates), None) if packet else None
        if packet and step:
            return by_translation(evidence, packet, step)
    return None


def _inside(case: Case) -> Blame | None:
    """It came, no rule ended it, and it went nowhere: the kernel itself dropped it, and counted why."""
    if (packet := case.came) is None or packet.passed:
        return None
    host, target = case.pair.target, case.target
    if target.dropped.get(kernel.NO_ROOM):
        hint = f"on {host}: sysctl -w net.netfilter.nf_conntrack_max=…   (conntrack -S shows the drops)"
        return Blame(host=host, stack="kernel", verdict="drop", rule="the table of connections is full", hint=hint)
    if back := _way(target, case.flow.source, case.pair.source):
        return back
    if target.dropped.get(kernel.REVERSE_PATH):
        way = target.ways.get(case.flow.source)
        hint = f"on {host}: ip route get {case.flow.source}   (or sysctl -w net.ipv4.conf.all.rp_filter=2)"
        rule = f"reverse path filter: the way back is {way.text}" if way else "reverse path filter"
        return Blame(host=host, stack="kernel", verdict="drop", rule=rule, hint=hint)
    hint = f"on {host}: ip addr show; ip route get {case.flow.target}; ip rule"
    return Blame(host=host, stack="route", verdict="routed elsewhere", rule=f"{case.flow.target} is not delivered there", hint=hint)


def _answer(case: Case) -> Blame | None:
    """The way back: the target's output, the source's input, the target's routes."""
    for evidence, outgoing in ((case.target, True), (case.source, False)):
        packet = evidence.answered(case.flow, outgoing=outgoing)
        if packet and packet.end:
            return by_trace(evidence, packet, packet.end, answer=True)
    return _way(case.target, case.flow.source, case.pair.source)


def _unheard(case: Case) -> Blame | None:
    """It arrived, and nobody wanted it."""
    if case.verdict is not Verdict.REFUSED or (case.target.traced and case.came is None):
        return None
    flow, host = case.flow, case.pair.target
    if not case.target.listeners:
        return None  # nobody could tell: sshd at least listens
    there = [each for each in case.target.listeners if (each.protocol, each.port) == (flow.protocol, flow.port)]
    if any(each.hears(flow.target) for each in there):
        return None
    if there:
        said = f"{there[0].holder or 'a program'} listens on {there[0].address}:{flow.port} only"
        hint = f"on {host}: let it listen on {flow.target} or 0.0.0.0, and restart it"
        return Blame(host=host, stack="listener", verdict="wrong bind", rule=said, hint=hint)
    hint = f"on {host}: ss -lntup   ({case.pair.port.purpose}: start what serves it)"
    return Blame(host=host, stack="listener", verdict="no listener", rule=f"nothing listens on {flow.port}/{flow.protocol}", hint=hint)


def _other_source(case: Case) -> Blame | None:
    """The source asks with another address than the inventory's, which no rule of the cluster lets in."""
    way = case.source.ways.get(case.flow.target)
    if way is None or not way.source or way.source == str(case.flow.source) or case.came:
        return None
    host = case.pair.source
    hint = f"on {host}: ip route replace {case.flow.target}/32 dev DEVICE src {case.flow.source}   (or correct its address in cluster.yml)"
    return Blame(host=host, stack="route", verdict="routed elsewhere", rule=way.text, hint=hint)


def _between(case: Case) -> Blame | None:
    """It left the source and never came to the target, or another host answered."""
    elsewhere = case.verdict is Verdict.WRONG_HOST
    if not elsewhere and (not case.target.traced or case.came or not (case.left and case.left.passed)):
        return None
    flow, host = case.flow, case.pair.source
    way, link = case.source.ways.get(flow.target), case.source.neighbours.get(str(flow.target), "")
    text = way.text if way else ""
    if link in ("FAILED", "INCOMPLETE"):
        hint = f"on {host}: ip neigh show {flow.target}   (is {case.pair.target} on this network, and is its address {flow.target}?)"
        return Blame(
            host=host, stack="route", verdict="no route", rule=f"nobody answers for {flow.target} on {way.device if way else '?'}", hint=hint
        )
    hint = f"on {host}: ip route get {flow.target}; ip neigh show {flow.target}   (then what lies between: gateway, security group, switch)"
    said = f"left by: {text}" + (f", to {link}" if link else "")
    return Blame(host=host, stack="route", verdict="routed elsewhere" if elsewhere else "lost on the way", rule=said, hint=hint)


def _lost_answer(case: Case) -> Blame | None:
    """The target answered, and the source never heard it."""
    answer = case.target.answered(case.flow, outgoing=True)
    if answer is None or not answer.passed or not case.source.traced or case.source.answered(case.flow, outgoing=False):
        return None
    way, host = case.target.ways.get(case.flow.source), case.pair.target
    hint = f"on {host}: ip route get {case.flow.source}; ip neigh show {case.flow.source}   (then what lies between)"
    return Blame(host=host, stack="route", verdict="lost on the way", rule=f"its answer left by: {way.text if way else '?'}", hint=hint)
