"""The command that mends a cause, exact and copyable, in the words of who manages the rule. Opening for the cluster's hosts beats deleting a rule.

A rule of the matrix is opened as a whole: of a range three ports are proven, and all are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.resources.difference import sh

TAG: Final = "kbootstrap"
OPENED: Final = frozenset({"input", "forward"})  # the hooks whose drops `firewall.apply` overrules
TOO_LONG: Final = 400  # nobody types that; the project's own command does the same
Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What must be let through on a host: *ports* of *protocol* from *sources* to *target*, at *hook*; *answer*: they are the source's ports there.

    What is *translated* is known by the port that was asked for: to which pod's port it leads may change with every pod.
    """

    protocol: str
    ports: tuple[Range, ...]
    sources: tuple[IPv4Address, ...]
    target: IPv4Address
    hook: str
    answer: bool = False
    translated: int = 0  # the port after translation, if the rule sees it after

    @property
    def both(self) -> bool:
        """Sources alone do not tell it from others': at the output hook they are all this host's own."""
        return self.hook == "output" or self.answer


def ours(host: str, hook: str, commands: Sequence[str], *, managed: bool = True) -> str:
    """The project's own command first, where it opens such rules; else only the foreign one, on its host. Not *managed*: the inventory forbids it."""
    foreign = f"on {host}: {'; '.join(commands)}"
    if hook not in OPENED or not managed:
        return foreign
    apply = f"invoke firewall.apply --limit {host}"
    return apply if len(foreign) > TOO_LONG else f"{apply}   or {foreign}"


def nft(gap: Gap, family: str, table: str, chain: str) -> Iterator[str]:
    """An accept at the head of the very chain that drops."""
    asking, asked = ("daddr", "saddr") if gap.answer else ("saddr", "daddr")
    port = f"{gap.protocol} {'sport' if gap.answer else 'dport'}"
    if gap.translated:
        port = f"meta l4proto {gap.protocol} ct original proto-dst"
    to = f"ip {asked} {gap.target} " if gap.both else ""
    match = f"ip {asking} {_set(map(str, gap.sources))} {to}{port} {_set(_ranges(gap, '-'))}"
    yield f"nft 'insert rule {family} {table} {chain} {match} accept comment \"{TAG}\"'"


def iptables(gap: Gap, program: str, table: str, chain: str) -> Iterator[str]:
    """An accept at the head of the base chain; iptables makes one rule for each of several sources."""
    asking, asked, word = ("-d", "-s", "sport") if gap.answer else ("-s", "-d", "dport")
    to = f"{asked} {gap.target} " if gap.both else ""
    where = f"-t {table} " if table != "filter" else ""
    ranges = list(_ranges(gap, ":"))
    if gap.translated:
        ports = [f"-m conntrack --ctorigdstport {each}" for each in ranges]
    else:
        ports = [f"-m multiport --{word}s {','.join(ranges)}" if len(ranges) > 1 else f"--{word} {ranges[0]}"]
    sources = ",".join(map(str, gap.sources))
    for port in ports:
        yield f"{program} {where}-I {chain} 1 -p {gap.protocol} {asking} {sources} {to}{port} -m comment --comment {TAG} -j ACCEPT"


def ufw(gap: Gap) -> Iterator[str]:
    """In ufw's own configuration, before all its rules; one command for each source."""
    way = "route " if gap.hook == "forward" else ""
    out = "out " if gap.hook == "output" else ""
    to = "any" if gap.hook == "forward" else gap.target  # with «any» it might be a rule that is there: ufw skips it, whatever that one does
    ports = gap.translated or ",".join(_ranges(gap, ":"))
    for source in gap.sources:
        yield f"ufw {way}prepend allow {out}proto {gap.protocol} from {source} to {to} port {ports} comment {TAG}"


def firewalld(gap: Gap) -> Iterator[str]:
    """Rich rules (as options of firewall-cmd) that come before the zone's own denials."""
    for source in gap.sources:
        for ports in _ranges(gap, "-"):
            match = f'family="ipv4" source address="{source}" port port="{ports}" protocol="{gap.protocol}"'
            yield sh(f'--add-rich-rule=rule priority="-100" {match} accept')


def in_zone(zone: str, options: Sequence[str]) -> str:
    """*options* written down permanently, then loaded; without a zone it is firewalld's default."""
    where = f"--zone={zone} " if zone else ""
    return f"firewall-cmd --permanent {where}{' '.join(options)} && firewall-cmd --reload"


def _ranges(gap: Gap, dash: str) -> Iterator[str]:
    return (str(first) if first == last else f"{first}{dash}{last}" for first, last in gap.ports)


def _set(words: Iterator[str]) -> str:
    found = list(words)
    return found[0] if len(found) == 1 else f"{{ {', '.join(found)} }}"
