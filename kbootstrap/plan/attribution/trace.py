"""``nft -a monitor trace`` as values: every packet of ours and the rules and policies it met, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.script import ARRIVED, FORWARDED, IN, LEFT, OUT, TABLE

_LINE: Final = re.compile(rb"trace id (?P<id>[0-9a-f]+) (?P<family>\S+) (?P<table>\S+) (?P<chain>\S+) (?P<rest>.*)")
_RULE: Final = re.compile(r"rule (?P<text>.*?)(?: # handle (?P<handle>\d+))? \(verdict (?P<verdict>[^()]*)\)$")
_HEADERS: Final = re.compile(r" ip saddr (\S+) ip daddr (\S+) .* (tcp|udp) sport (\d+) (?:tcp|udp) dport (\d+) ")
_COUNTER: Final = re.compile(r"counter packets \d+ bytes \d+")
_TRANSLATES: Final = re.compile(r"\b(dnat|redirect)\b|\b(DNAT|REDIRECT)\b")
_REJECT: Final = re.compile(r"\breject\b|\bREJECT\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule that matched, or the policy a chain ended with; *verdict* is accept, drop, continue, «jump x», «goto x», return."""

    family: str
    table: str
    chain: str
    verdict: str
    rule: str = ""  # «» for a policy
    handle: int = 0

    @property
    def drops(self) -> bool:
        return self.verdict == "drop"

    @property
    def rejects(self) -> bool:
        return self.drops and bool(_REJECT.search(self.rule))

    @property
    def translates(self) -> bool:
        return bool(_TRANSLATES.search(self.rule)) and self.verdict == "accept"

    @property
    def ours(self) -> bool:
        return self.table == TABLE


@dataclass(slots=True, kw_only=True)
class Packet:
    """A packet as it was first seen on a host, and its *steps* there."""

    protocol: str
    source: IPv4Address
    target: IPv4Address
    source_port: int
    port: int
    outgoing: bool  # seen first at the output hook: made on this host
    translated: int = 0  # its port since somebody translated it
    steps: list[Step] = field(default_factory=list)

    def asks(self, flow: Flow) -> bool:
        return (self.source, self.target, self.protocol, self.port) == (flow.source, flow.target, flow.protocol, flow.port)

    def answers(self, flow: Flow) -> bool:
        return (self.target, self.source, self.protocol, self.source_port) == (flow.source, flow.target, flow.protocol, flow.port)

    @property
    def end(self) -> Step | None:
        """The rule or policy that ended it here."""
        return next((step for step in self.steps if step.drops), None)

    def reached(self, chain: str) -> bool:
        return any(step.ours and step.chain == chain for step in self.steps)

    @property
    def passed(self) -> bool:
        """It went through all that this host's netfilter had for it."""
        return any(map(self.reached, (LEFT,) if self.outgoing else (ARRIVED, FORWARDED)))


def packets(lines: Iterable[bytes]) -> tuple[Packet, ...]:
    """The packets that our table marked. An id may come again for a later packet: a new line of ours with its headers begins that one."""
    current, found = dict[str, Packet](), list[Packet]()
    for line in lines:
        if (match := _LINE.match(line)) is None:
            continue
        parts = {name: value.decode("utf-8", "replace").strip() for name, value in match.groupdict().items()}
        if parts["rest"].startswith("packet:"):
            packet, known = _packet(parts["chain"], parts["rest"]), current.get(parts["id"])
            if packet and parts["table"] == TABLE and parts["chain"] in (OUT, IN):
                current[parts["id"]] = packet
                found.append(packet)
            elif packet and known and packet.port != known.port:
                known.translated = packet.port
        elif parts["id"] in current and (step := _step(parts)):
            current[parts["id"]].steps.append(step)
    return tuple(found)


def _packet(chain: str, text: str) -> Packet | None:
    if (found := _HEADERS.search(text + " ")) is None:
        return None
    source, target, protocol, source_port, port = found.groups()
    return Packet(
        protocol=protocol,
        source=IPv4Address(source),
        target=IPv4Address(target),
        source_port=int(source_port),
        port=int(port),
        outgoing=chain == OUT,
    )


def _step(parts: dict[str, str]) -> Step | None:
    family, table, chain, rest = parts["family"], parts["table"], parts["chain"], parts["rest"]
    if rule := _RULE.match(rest):
        text = " ".join(_COUNTER.sub("counter", rule["text"]).split())  # two packets of one rule must name it alike
        return Step(family=family, table=table, chain=chain, rule=text, handle=int(rule["handle"] or 0), verdict=rule["verdict"])
    if rest.startswith("policy "):
        return Step(family=family, table=table, chain=chain, verdict=rest.split()[1])
    return None
