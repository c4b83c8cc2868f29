"""Whose a chain is: ufw's or firewalld's, and the place in their own configuration that made the rule."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

KUBE_PROXY: Final = "kube-proxy"  # its table, and in its mode iptables the chains KUBE-…
FIREWALLD: Final = "firewalld"  # its table of inet
_ZONE: Final = re.compile(r"(?:filter|mangle|nat|raw)_(?:IN|FWDI|FWDO|FWD|PRE|POST)_(?!policy_)(.+?)(?:_(?:pre|log|deny|allow|post))?")
_TUPLE: Final = "### tuple ###"
_DIRECTIONS: Final = {"input": "incoming", "output": "outgoing", "forward": "routed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UfwRule:
    """A rule as ``ufw status numbered`` counts it; *text* is the words of its tuple."""

    number: int
    text: str


def zone(chain: str) -> str:
    """firewalld's zone behind a chain of its table, "" if it is none of a zone."""
    found = _ZONE.fullmatch(chain)
    return found[1] if found else ""


def is_kube_proxy(table: str, chain: str) -> bool:
    return table == KUBE_PROXY or chain.startswith("KUBE-")


def is_ufw(chain: str) -> bool:
    return chain.startswith("ufw-")


def ufw_place(chain: str, number: int, user_rules: str) -> str:
    """What in ufw is behind rule *number* (0: the policy of a base chain) of *chain*; *user_rules* are the tuples and rules of user.rules."""
    direction = next((word for word in _DIRECTIONS if chain.lower().endswith(word)), "input")
    if chain.startswith("ufw-user-limit"):
        return "ufw limit: too many connections"
    if chain.startswith("ufw-user-"):
        rule = ufw_rule(chain, number, user_rules)
        return f"ufw rule [{rule.number}]: {rule.text}" if rule else "a rule of ufw"
    if chain.startswith("ufw-reject-") or number == 0 or "policy" in chain:
        verb = "reject" if chain.startswith("ufw-reject-") else "deny"
        return f"ufw default {verb} ({_DIRECTIONS[direction]})"
    file = "after" if chain.startswith("ufw-after") else "before"
    return f"/etc/ufw/{file}.rules, chain {chain}"


def ufw_rule(chain: str, number: int, user_rules: str) -> UfwRule | None:
    """The rule whose *number*-th line in *chain* is asked for: user.rules holds them in the order of the chain, each group below its tuple."""
    tuples = seen = 0
    text = ""
    for line in user_rules.splitlines():
        if line.startswith(_TUPLE):
            tuples, text = tuples + 1, line.removeprefix(_TUPLE).strip()
        elif line.startswith(f"-A {chain} "):
            seen += 1
            if seen == number:
                return UfwRule(number=tuples, text=_said(text))
    return None


def _said(words: str) -> str:
    """«deny tcp 80 0.0.0.0/0 any 192.0.2.0/24 in» → «deny 80/tcp from 192.0.2.0/24 (in)»; what has more to it stays as it is."""
    parts = re.sub(r" comment=\S+", "", words).split()
    if len(parts) < 7:
        return words
    action, protocol, port, target, source_port, source, way = parts[:7]
    if source_port != "any":
        return words
    place = f"{port}/{protocol}" if protocol != "any" else port
    to = "" if target == "0.0.0.0/0" else f" to {target}"
    return f"{action} {place}{to} from {'any' if source == '0.0.0.0/0' else source} ({way.replace('_', ' on ')})"
