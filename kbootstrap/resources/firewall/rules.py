"""One rule in the words of each tool. ``any`` is the pods' own row: what goes to them, and what they send.

A NodePort that is answered by a pod is forwarded after its address was translated, so it is told by the port that was asked for first.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Final

from kbootstrap.model.resource import Allow, Firewall

INPUT: Final = "input"
FORWARD: Final = "forward"


def nft(want: Firewall, hook: str) -> Iterator[str]:
    """Statements of the rules of *hook*; what belongs to a connection that was let in, and the host's talk to itself, comes first."""
    if hook == INPUT:
        yield 'iifname "lo" accept'
    yield "ct state established,related accept"
    for rule in (rule for rule in want.rules if rule.hook == hook):
        source = _nft_set("ip saddr", rule.networks)
        if rule.protocol == "any":
            yield f"{source}ip daddr {want.pods} accept"
            yield f"ip saddr {want.pods} accept"
        elif hook == FORWARD:
            yield f"{source}meta l4proto {rule.protocol} ct status dnat ct original proto-dst {_numbers(rule, '-')} accept"
        else:
            yield f"{source}{rule.protocol} dport {_numbers(rule, '-')} accept"


def iptables(want: Firewall, hook: str) -> Iterator[str]:
    """The same as the end of an iptables command, behind ``-A <chain>``."""
    if hook == INPUT:
        yield "-i lo -j ACCEPT"
    yield "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    for rule in (rule for rule in want.rules if rule.hook == hook):
        for source in (f"-s {network} " for network in rule.networks) if rule.networks else ("",):
            if rule.protocol == "any":
                yield f"{source}-d {want.pods} -j ACCEPT"
            elif hook == FORWARD:
                yield f"{source}-p {rule.protocol} -m conntrack --ctstate DNAT --ctorigdstport {_numbers(rule, ':')} -j ACCEPT"
            else:
                yield f"{source}-p {rule.protocol} --dport {_numbers(rule, ':')} -j ACCEPT"
        if rule.protocol == "any":
            yield f"-s {want.pods} -j ACCEPT"


def firewalld(want: Firewall, hook: str) -> Iterator[str]:
    """Rich rules of a policy, as XML. What was translated, and what belongs to a connection, firewalld forwards by itself."""
    for rule in (rule for rule in want.rules if rule.hook == hook):
        for source in (f'<source address="{network}"/>' for network in rule.networks) if rule.networks else ("",):
            if rule.protocol == "any":
                yield f'<rule family="ipv4">{source}<destination address="{want.pods}"/><accept/></rule>'
            elif hook == INPUT:
                port = f'<port port="{_numbers(rule, "-")}" protocol="{rule.protocol}"/>'
                family = ' family="ipv4"' if source else ""
                yield f"<rule{family}>{source}{port}<accept/></rule>"
        if rule.protocol == "any":
            yield f'<rule family="ipv4"><source address="{want.pods}"/><accept/></rule>'


def _numbers(rule: Allow, dash: str) -> str:
    return f"{rule.first}" if rule.first == rule.last else f"{rule.first}{dash}{rule.last}"


def _nft_set(key: str, networks: tuple[IPv4Network, ...]) -> str:
    return f"{key} {{ {', '.join(str(n).removesuffix('/32') for n in networks)} }} " if networks else ""
