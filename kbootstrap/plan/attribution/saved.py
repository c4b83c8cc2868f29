"""``iptables-save -c`` as values, and which rule a packet met: legacy iptables shows in no trace, only in counters before and after."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from kbootstrap.plan.attribution.flow import Flow

PATHS: Final = {  # the base chains (table, chain) that a packet crosses at a hook, in their order
    "input": (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT")),
    "forward": (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("filter", "FORWARD"), ("security", "FORWARD")),
    "output": (("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("filter", "OUTPUT"), ("security", "OUTPUT"), ("mangle", "POSTROUTING")),
}
ENDS: Final = frozenset({"DROP", "REJECT"})
_DEPTH: Final = 32  # of jumps; the kernel refuses loops, a listing read while it changes may show one
_CHAIN: Final = re.compile(r":(\S+) (\S+) \[(\d+):\d+\]")
_RULE: Final = re.compile(r"\[(\d+):\d+\] -A (\S+) ?(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: *number* counts from 1 in its chain; *text* is what follows ``-A CHAIN``."""

    table: str
    chain: str
    number: int
    text: str
    packets: int

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def target(self) -> str:
        words = self.words
        return next((after for word, after in itertools.pairwise(words) if word in ("-j", "-g")), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain with its rules; *policy* is ACCEPT, DROP, or «-» where it has none (a user's chain); *packets* met the policy."""

    policy: str
    packets: int
    rules: tuple[Rule, ...] = ()


Saved = Mapping[tuple[str, str], Chain]  # (table, chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """Where a packet ended; *rule* is None where it was the policy of the base chain."""

    table: str
    chain: str
    base: str
    rule: Rule | None


def parse(text: str) -> Saved:
    """The chains of all tables in a listing with counters; lines that are none of its grammar are left out."""
    table, found, rules = "", dict[tuple[str, str], Chain](), dict[tuple[str, str], list[Rule]]()
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif chain := _CHAIN.match(line):
            found[(table, chain[1])] = Chain(policy=chain[2], packets=int(chain[3]))
        elif rule := _RULE.match(line):
            mine = rules.setdefault((table, rule[2]), [])
            mine.append(Rule(table=table, chain=rule[2], number=len(mine) + 1, text=rule[3], packets=int(rule[1])))
    return {key: Chain(policy=chain.policy, packets=chain.packets, rules=tuple(rules.get(key, ()))) for key, chain in found.items()}


def culprit(before: Saved, after: Saved, flow: Flow, hook: str) -> Culprit | None:
    """The rule or policy that ended *flow* at *hook* while the counters went from *before* to *after*; None if none can have."""
    for table, base in PATHS[hook]:
        if (table, base) not in after:
            continue
        verdict = _walk(_Walk(before=before, after=after, flow=flow, table=table, base=base), base, 0)
        if isinstance(verdict, Culprit):
            return verdict
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    before: Saved
    after: Saved
    flow: Flow
    table: str
    base: str

    def counted(self, rule: Rule) -> bool:
        old = self.before.get((rule.table, rule.chain))
        known = next((each for each in old.rules if each.number == rule.number and each.text == rule.text), None) if old else None
        return rule.packets > (known.packets if known else 0)

    def end(self, chain: str, rule: Rule | None) -> Culprit:
        return Culprit(table=self.table, chain=chain, base=self.base, rule=rule)


def _walk(walk: _Walk, name: str, depth: int) -> Culprit | str:
    """What *flow* meets in a chain: a culprit, «accept», or «» when it comes out at the end."""
    chain = walk.after.get((walk.table, name))
    if chain is None or depth > _DEPTH:
        return ""
    for rule in chain.rules:
        if not walk.counted(rule) or not matches(rule, walk.flow):
            continue
        if rule.target in ENDS:
            return walk.end(name, rule)
        if rule.target == "ACCEPT":
            return "accept"
        if rule.target == "RETURN":
            break
        if (walk.table, rule.target) in walk.after and (verdict := _walk(walk, rule.target, depth + 1)):
            return verdict
    old = walk.before.get((walk.table, name))
    if chain.policy == "DROP" and chain.packets > (old.packets if old else 0):
        return walk.end(name, None)
    return ""


def matches(rule: Rule, flow: Flow) -> bool:
    """Whether *rule* may match the first packet of *flow*, as far as its words say; what is not known here may match."""
    return all(fits is not negated for fits, negated in _conditions(rule.words, flow))


def _conditions(words: list[str], flow: Flow) -> Iterator[tuple[bool, bool]]:
    """(it fits, it stands after «!») for every condition that is understood."""
    for index, word in enumerate(words[:-1]):
        value, negated = words[index + 1], index > 0 and words[index - 1] == "!"
        if word in ("-s", "-d"):
            yield _within(flow.source if word == "-s" else flow.target, value), negated
        elif word == "-p":
            yield value in (flow.protocol, "all"), negated
        elif word in ("--dport", "--dports", "--ports"):
            yield any(_has(part, flow.port) for part in value.split(",")), negated
        elif word in ("--ctstate", "--state"):
            yield "NEW" in value.split(","), negated
        elif word in ("-i", "-o"):
            yield value != "lo", negated


def _within(address: IPv4Address, network: str) -> bool:
    return address in IPv4Network(network, strict=False)


def _has(ports: str, port: int) -> bool:
    first, _, last = ports.partition(":")
    return int(first or 0) <= port <= int(last or (65535 if ":" in ports else first))
