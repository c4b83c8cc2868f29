"""Directed proofs: from which host to which port of which host, what was seen, and which rule is to blame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kbootstrap.catalog.ports import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """*source* must reach *number* of *port* on *target*; both are names of hosts."""

    port: Port
    source: str
    target: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.source}→{self.target}:{self.number}/{self.port.protocol}"


class Verdict(StrEnum):
    """What a probe met. ``unproven``: it could not be asked (its ``detail`` says why), which is never a success."""

    OPEN = "open"
    REFUSED = "refused"  # nothing listens, or a rule rejects
    DROPPED = "dropped"  # silence until the deadline
    NO_ROUTE = "no route"
    WRONG_HOST = "wrong host"  # another host answered at this address
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a pair fails: the *rule* of *chain* on *host*, its *verdict* (drop, reject, no listener, wrong bind, no route,
    routed elsewhere, lost on the way), and in *hint* what mends it.

    *stack* is who manages that rule: nftables, iptables (through nftables), iptables-legacy, ufw, firewalld, kube-proxy, kernel, route, listener.
    """

    host: str
    stack: str
    verdict: str
    hint: str
    chain: str = ""  # «inet filter input», «iptables filter INPUT»
    rule: str = ""  # its text as the tool lists it
    zone: str = ""  # firewalld's zone, or the place in ufw's configuration

    def __str__(self) -> str:
        """``dropped by nftables on m2: inet filter input «tcp dport … drop (handle 7)»``; all but the hint."""
        if not self.chain:
            return f"{self.verdict} on {self.host}: «{self.rule}»"
        zone = f"zone {self.zone}, " if self.stack == "firewalld" and self.zone else f"{self.zone}, " if self.zone else ""
        word = {"drop": "dropped", "reject": "rejected"}.get(self.verdict, self.verdict)
        return f"{word} by {self.stack} on {self.host}: {zone}{self.chain} «{self.rule}»"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One pair and what came of it; *answered* is who listened: ``probe`` (our short-lived listener) or ``daemon`` (what runs there).

    *mute*: unproven only because what has this port owes nobody an answer (a UDP program, a Service that keeps to another host's pods). That is no
    fault: it is told, and refuses nothing.
    """

    pair: Pair
    verdict: Verdict
    detail: str = ""
    answered: str = ""
    cause: Cause | None = None
    mute: bool = False

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OPEN
