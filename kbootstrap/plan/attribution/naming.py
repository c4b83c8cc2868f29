"""A rule under the name by which its owner knows it: nftables, iptables, ufw or firewalld; and what mends it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kbootstrap.plan.attribution import mend, places, saved
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.mend import Gap
from kbootstrap.plan.attribution.saved import Culprit, Rule, Saved
from kbootstrap.plan.attribution.trace import Packet, Step

_SERVICE = "kubectl get services,endpointslices -A   (a Service has this port, and no pod that it may go to)"
_BUILT_IN = frozenset({"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"})
_HOOKS = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output", "PREROUTING": "prerouting", "POSTROUTING": "postrouting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """What ends a pair's packets: ``Cause`` without its hint, and all that the hint is made from. Equal blames share one hint."""

    host: str
    stack: str
    verdict: str
    chain: str = ""
    rule: str = ""
    zone: str = ""
    handle: int = 0
    hint: str = ""  # where no rule is to blame
    hook: str = ""
    answer: bool = False
    translated: int = 0
    place: tuple[str, ...] = ()  # nftables: family, table, chain; iptables: program, table, base chain


def by_trace(evidence: Evidence, packet: Packet, end: Step, *, answer: bool = False) -> Blame:
    """The rule, or the policy, that *packet* met last on this host."""
    verdict, hook = "reject" if end.rejects else "drop", evidence.hook(packet, end)
    common = Blame(host=evidence.host, stack="nftables", verdict=verdict, hook=hook, answer=answer, translated=packet.translated)
    chain, text = f"{end.family} {end.table} {end.chain}", end.rule or f"policy {end.verdict}"
    if places.is_kube_proxy(end.table, end.chain):
        return replace(common, stack=places.KUBE_PROXY, chain=chain, rule=text, handle=end.handle, hint=_SERVICE)
    after = evidence.nft[1]
    if end.family == "ip" and (end.table, end.chain) in after:
        base = next((s.chain for s in reversed(packet.steps) if s.table == end.table and s.chain in _BUILT_IN), end.chain)
        handles = evidence.handles.get((end.table, end.chain), ())
        number = handles.index(end.handle) + 1 if end.handle in handles else 0
        rules = after[(end.table, end.chain)].rules
        rule = rules[number - 1] if 0 < number <= len(rules) and len(rules) == len(handles) else None
        culprit = Culprit(table=end.table, chain=end.chain, base=base, rule=rule)
        if rule or not end.rule:
            return _iptables(common, culprit, evidence.iptables, after, evidence.user_rules)
    zone = ""
    if end.table == places.FIREWALLD:
        zone = next((zone for s in reversed(packet.steps) if s.table == end.table and (zone := places.zone(s.chain))), "")
    return replace(
        common,
        stack="firewalld" if end.table == places.FIREWALLD else "nftables",
        chain=chain,
        rule=text,
        handle=end.handle,
        zone=zone,
        place=(end.family, end.table, end.chain),
    )


def by_translation(evidence: Evidence, packet: Packet, step: Step) -> Blame:
    """The rule that gave *packet* another goal; only its going mends that."""
    named = by_trace(evidence, packet, step)
    if named.stack.startswith("iptables"):
        program, table, _ = named.place
        command = f"{program} -t {table} -D {named.chain.split()[-1]} {named.rule}"
    else:
        command = f"nft delete rule {named.chain} handle {step.handle}"
    return replace(named, verdict="routed elsewhere", hint=f"on {evidence.host}: {command}")


def by_counters(evidence: Evidence, flow: Flow, hook: str) -> Blame | None:
    """The rule of legacy iptables whose counter moved; of iptables-nft too where nothing could be traced."""
    listings = [("iptables-legacy", evidence.legacy)]
    if not evidence.traced:
        listings.append((evidence.iptables, evidence.nft))
    for program, (before, after) in listings:
        if found := saved.culprit(before, after, flow, hook):
            return _iptables(Blame(host=evidence.host, stack="", verdict="drop", hook=hook), found, program, after, evidence.user_rules)
    return None


def _iptables(common: Blame, found: Culprit, program: str, listing: Saved, user_rules: str) -> Blame:
    rule = found.rule
    of_ufw = places.is_ufw(found.chain) or (rule is None and any(places.is_ufw(each.target) for each in listing[(found.table, found.base)].rules))
    stack = "ufw" if of_ufw else "iptables-legacy" if program == "iptables-legacy" else "iptables"
    return replace(
        common,
        stack=stack,
        verdict="reject" if _rejects(rule) else "drop",
        chain=f"{program if program == 'iptables-legacy' else 'iptables'} {found.table} {found.chain}",
        rule=rule.text if rule else "policy DROP",
        zone=places.ufw_place(found.chain, rule.number if rule else 0, user_rules) if of_ufw else "",
        hook=_HOOKS.get(found.base, common.hook),
        place=(program, found.table, found.base),
    )


def _rejects(rule: Rule | None) -> bool:
    return rule is not None and rule.target == "REJECT"


def hint(blame: Blame, gaps: Sequence[Gap], *, managed: bool = True) -> str:
    """What mends *blame* for the pairs of *gaps*; *managed*: its host's firewall is ours to open."""
    if blame.hint:
        return blame.hint
    if blame.stack == "ufw" and blame.zone.startswith("/etc/"):
        return f"on {blame.host}: take this rule out of {blame.zone.partition(',')[0]}, then ufw reload: it comes before every rule of ufw's own"
    if blame.stack == "firewalld" and blame.hook in mend.OPENED:
        commands = [mend.in_zone(blame.zone, [option for gap in gaps for option in mend.firewalld(gap)])]
    else:
        commands = [command for gap in gaps for command in _commands(blame, gap)]
    return mend.ours(blame.host, blame.hook, commands, managed=managed)


def _commands(blame: Blame, gap: Gap) -> Iterator[str]:
    if blame.stack == "ufw":
        return mend.ufw(gap)
    if blame.stack.startswith("iptables"):
        return mend.iptables(gap, *blame.place)
    return mend.nft(gap, *blame.place)
