"""The command that mends a cause, exact and copyable, in the words of who manages the rule. Opening for the cluster's hosts beats deleting a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.resources.difference import sh

TAG: Final = "kbootstrap"
OPENED: Final = frozenset({"input", "forward"})  # the hooks whose drops `firewall.apply` overrules


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What must be let through on a host: *port* of *protocol* from *sources* to *target*, at *hook*; an *answer* has the port as its source.

    What is *translated* is known by the port that was asked for: to which pod's port it leads may change with every pod.
    """

    protocol: str
    port: int
    sources: tuple[IPv4Address, ...]
    target: IPv4Address
    hook: str
    answer: bool = False
    translated: int = 0  # the port after translation, if the rule sees it after


def ours(host: str, hook: str, command: str) -> str:
    """The project's own command first, where it opens such rules; else only the foreign one, on its host."""
    return f"invoke firewall.apply --limit {host}   or on {host}: {command}" if hook in OPENED else f"on {host}: {command}"


def nft(gap: Gap, family: str, table: str, chain: str) -> str:
    """An accept at the head of the very chain that drops."""
    asking, asked = ("daddr", "saddr") if gap.answer else ("saddr", "daddr")
    port = f"{gap.protocol} {'sport' if gap.answer else 'dport'} {gap.port}"
    if gap.translated:
        port = f"meta l4proto {gap.protocol} ct original proto-dst {gap.port}"
    to = f"ip {asked} {gap.target} " if gap.hook == "output" or gap.answer else ""
    return f"nft 'insert rule {family} {table} {chain} ip {asking} {_set(gap.sources)} {to}{port} accept comment \"{TAG}\"'"


def iptables(gap: Gap, program: str, table: str, chain: str) -> str:
    """An accept at the head of the base chain; iptables makes one rule for each of several sources."""
    asking, asked, port = ("-d", "-s", "--sport") if gap.answer else ("-s", "-d", "--dport")
    port = "-m conntrack --ctorigdstport" if gap.translated else port
    to = f"{asked} {gap.target} " if gap.hook == "output" or gap.answer else ""
    where = f"-t {table} " if table != "filter" else ""
    sources = ",".join(map(str, gap.sources))
    return f"{program} {where}-I {chain} 1 -p {gap.protocol} {asking} {sources} {to}{port} {gap.port} -m comment --comment {TAG} -j ACCEPT"


def ufw(gap: Gap) -> str:
    """In ufw's own configuration, before all its rules; one command for each source."""
    way = {"forward": "route ", "output": ""}.get(gap.hook, "")
    out = "out " if gap.hook == "output" else ""
    to = "any" if gap.hook == "forward" else gap.target  # with «any» it might be a rule that is there: ufw skips it, whatever that one does
    return "; ".join(
        f"ufw {way}prepend allow {out}proto {gap.protocol} from {source} to {to} port {gap.translated or gap.port} comment {TAG}"
        for source in gap.sources
    )


def firewalld(gap: Gap, zone: str) -> str:
    """Rich rules that come before the zone's own denials, permanent, then loaded."""
    rules = (
        f'rule priority="-100" family="ipv4" source address="{source}" port port="{gap.port}" protocol="{gap.protocol}" accept'
        for source in gap.sources
    )
    words = " ".join(sh(f"--add-rich-rule={rule}") for rule in rules)
    where = f"--zone={zone} " if zone else ""
    return f"firewall-cmd --permanent {where}{words} && firewall-cmd --reload"


def _set(addresses: Sequence[IPv4Address]) -> str:
    return str(addresses[0]) if len(addresses) == 1 else f"{{ {', '.join(map(str, addresses))} }}"
