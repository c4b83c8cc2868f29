"""One host's answers as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.plan.attribution import kernel, saved, trace
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.kernel import Listener, Way
from kbootstrap.plan.attribution.saved import Saved
from kbootstrap.plan.attribution.script import READY, TRACE
from kbootstrap.plan.attribution.trace import Packet, Step

_HANDLE: Final = re.compile(r".* # handle (\d+)$")
_HOOK: Final = re.compile(r"\s*type \S+ hook (\S+) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one host said around the probes; all empty for a host that could not be asked."""

    host: str
    traced: bool = False
    packets: tuple[Packet, ...] = ()
    hooks: Mapping[tuple[str, str, str], str] = field(default_factory=dict)  # (family, table, base chain) → hook
    handles: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)  # (table, chain) of family ip → its rules' in order
    legacy: tuple[Saved, Saved] = ({}, {})  # before and after
    nft: tuple[Saved, Saved] = ({}, {})
    iptables: str = "iptables"  # the program that speaks to nftables
    ways: Mapping[IPv4Address, Way] = field(default_factory=dict)
    special: str = ""
    listeners: tuple[Listener, ...] = ()
    neighbours: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    user_rules: str = ""

    def asked(self, flow: Flow, *, outgoing: bool) -> Packet | None:
        """The packet of *flow* seen here that tells most: one that was ended, else the last."""
        return _telling([p for p in self.packets if p.outgoing is outgoing and p.asks(flow)])

    def answered(self, flow: Flow, *, outgoing: bool) -> Packet | None:
        """The same of its answers."""
        return _telling([p for p in self.packets if p.outgoing is outgoing and p.answers(flow)])

    def hook(self, packet: Packet, end: Step) -> str:
        """At which hook *packet* was when it met *end*."""
        found = ""
        for step in packet.steps:
            found = self.hooks.get((step.family, step.table, step.chain), found)
            if step is end:
                break
        return found or ("output" if packet.outgoing else "input")


def _telling(found: list[Packet]) -> Packet | None:
    return next((packet for packet in reversed(found) if packet.end), found[-1] if found else None)


def read(host: str, sections: Mapping[str, bytes]) -> Evidence:
    """From the sections of ``script``; one that is missing tells nothing."""
    text = {name: value.decode("utf-8", "replace") for name, value in sections.items()}

    def of(name: str) -> str:
        return text.get(name, "")

    return Evidence(
        host=host,
        traced=of(READY).strip() == "" and READY in text,
        packets=trace.packets(sections.get(TRACE, b"").splitlines()),
        hooks=_hooks(of("chains")),
        handles=_handles(of("handles")),
        legacy=(saved.parse(of("legacy-before")), saved.parse(of("legacy-after"))),
        nft=(saved.parse(of("nft-before")), saved.parse(of("nft-after"))),
        iptables="iptables-nft" if "legacy" in of("iptables") else "iptables",
        ways=kernel.ways(of("ways")),
        special=of("special"),
        listeners=kernel.listeners(of("listeners")),
        neighbours=kernel.neighbours(of("neighbours")),
        dropped=kernel.drops(of("drops-before"), of("drops-after")),
        user_rules=of("ufw"),
    )


def _hooks(text: str) -> dict[tuple[str, str, str], str]:
    family = table = chain = ""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            family, table = words[1], words[2]
        elif words[:1] == ["chain"]:
            chain = words[1]
        elif hook := _HOOK.match(line):
            found[(family, table, chain)] = hook[1]
    return found


def _handles(text: str) -> dict[tuple[str, str], tuple[int, ...]]:
    """The handles of each chain's rules; lines that open a block have one too, and are no rules."""
    table = chain = ""
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["table"]:
            table, chain = words[2], ""
        elif words[:1] == ["chain"]:
            chain = words[1]
            found[(table, chain)] = ()
        elif chain and (handle := _HANDLE.match(line)):
            found[(table, chain)] += (int(handle[1]),)
    return found
