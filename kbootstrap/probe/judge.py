"""What a dial met, as a verdict with its reason. Pure.

An answer that names its host proves the way and who is at its end. Where a daemon listens already, a connection is proof enough. What is silent or
ambiguous is never called open.
"""

from __future__ import annotations

import errno
from typing import Final

from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.probe.talk import Hello, Reply

PROBE: Final = "probe"
DAEMON: Final = "daemon"
_UNREACHABLE: Final = 3  # ICMP: destination unreachable; its codes:
_NET, _HOST, _PORT, _FRAGMENTATION = 0, 1, 3, 4
_PROHIBITED: Final = (9, 10, 13)


def verdict(pair: Pair, target: Hello, reply: Reply, token: str, *, address: str) -> Proof:
    """Of a TCP or UDP dial to *address*, the target's."""
    protocol, number = pair.port.protocol, pair.number
    served = (protocol, number) in target.services
    if reply.what == "open":
        return _opened(pair, target, reply, token)
    refused = reply.errno == errno.ECONNREFUSED
    if served and refused:
        return Proof(pair=pair, verdict=Verdict.OPEN, answered=DAEMON, detail="reset on behalf of a Service that has this port")
    if reply.what == "silent":
        return _silence(pair, target, reply)
    if target.unable and refused:
        return unproven(pair, f"reset, and {pair.target} cannot listen for us: {target.unable}")
    return _failed(pair, reply, address, listened=target.listening(protocol, number))


def tunnel(pair: Pair, reply: Reply, seen: frozenset[int], full: int, *, address: str) -> Proof:
    """Of the overlay's own port, where the kernel listens: *seen* are the bytes of the frames that arrived, *full* those of the largest."""
    if full in seen:
        return Proof(pair=pair, verdict=Verdict.OPEN, answered=DAEMON, detail=f"frames of {full} bytes come out of the tunnel")
    if seen or reply.errno == errno.EMSGSIZE:
        what = f"frames of {full} bytes do not arrive, small ones do: the path's MTU is too small" if seen else f"frames of {full} bytes do not fit"
        return Proof(pair=pair, verdict=Verdict.DROPPED, detail=what)
    if reply.what in ("error", "local"):
        return _failed(pair, reply, address, listened=True)
    return Proof(pair=pair, verdict=Verdict.DROPPED, detail="no frame came out of the tunnel")


def unproven(pair: Pair, why: str) -> Proof:
    """It could not be asked."""
    return Proof(pair=pair, verdict=Verdict.UNPROVEN, detail=why)


def mute(pair: Pair, why: str) -> Proof:
    """It was asked, and silence says nothing: whether the question arrived must be seen on the target."""
    return Proof(pair=pair, verdict=Verdict.UNPROVEN, detail=why, mute=True)


def _silence(pair: Pair, target: Hello, reply: Reply) -> Proof:
    protocol, number = pair.port.protocol, pair.number
    if protocol == "udp" and (protocol, number) in target.services:
        return mute(pair, f"a Service has this port of {pair.target}, and its pods answer whom they like")
    if protocol == "udp" and target.taken(protocol, number):
        return mute(pair, f"a program on {pair.target} has this port, and answers whom it likes")
    return Proof(pair=pair, verdict=Verdict.DROPPED, detail=f"no answer for {reply.elapsed_ms / 1000:.1f} s")


def _opened(pair: Pair, target: Hello, reply: Reply, token: str) -> Proof:
    protocol, number = pair.port.protocol, pair.number
    said, _, host = reply.answer.partition(" ")
    if said == token and host == pair.target:
        return Proof(pair=pair, verdict=Verdict.OPEN, answered=PROBE)
    if said == token:
        return Proof(pair=pair, verdict=Verdict.WRONG_HOST, detail=f"{host} answered")
    if (protocol, number) in target.services:
        return Proof(pair=pair, verdict=Verdict.OPEN, answered=DAEMON, detail="a Service has this port")
    if target.listening(protocol, number):
        return Proof(pair=pair, verdict=Verdict.WRONG_HOST, detail="something answered, but not our listener there")
    return Proof(pair=pair, verdict=Verdict.OPEN, answered=DAEMON)


def _failed(pair: Pair, reply: Reply, address: str, *, listened: bool) -> Proof:
    by = f" from {reply.offender}" if reply.icmp and str(reply.offender) != address else ""
    if reply.what == "local" and reply.errno == errno.EPERM:
        return Proof(pair=pair, verdict=Verdict.DROPPED, detail=f"{pair.source}'s own rules drop it on its way out")
    if reply.icmp is not None and reply.icmp[0] == _UNREACHABLE:
        return _unreachable(pair, reply.icmp[1], by)
    if reply.errno == errno.ECONNREFUSED:
        what = "reset although our listener is up: a rule rejects or translates it" if listened else "reset: nothing listens, or a rule rejects it"
        return Proof(pair=pair, verdict=Verdict.REFUSED, detail=what)
    if reply.errno == errno.ETIMEDOUT:
        return Proof(pair=pair, verdict=Verdict.DROPPED, detail="no answer")
    return Proof(pair=pair, verdict=Verdict.NO_ROUTE, detail=f"{pair.source} has no way: {_WORDS.get(reply.errno, f'error {reply.errno}')}")


def _unreachable(pair: Pair, code: int, by: str) -> Proof:
    if code in _PROHIBITED:
        return Proof(pair=pair, verdict=Verdict.REFUSED, detail=f"rejected: ICMP administratively prohibited{by}")
    if code == _PORT:
        return Proof(pair=pair, verdict=Verdict.REFUSED, detail=f"rejected: ICMP port unreachable{by}")
    if code in (_NET, _HOST):  # a rule of the target's may say so, too; a router in between or our own kernel means it
        kind, name = (Verdict.NO_ROUTE, "") if by else (Verdict.REFUSED, "rejected: ")
        return Proof(pair=pair, verdict=kind, detail=f"{name}ICMP {'host' if code == _HOST else 'net'} unreachable{by}")
    if code == _FRAGMENTATION:
        return Proof(pair=pair, verdict=Verdict.DROPPED, detail=f"the path's MTU is too small: ICMP fragmentation needed{by}")
    return Proof(pair=pair, verdict=Verdict.REFUSED, detail=f"rejected: ICMP unreachable, code {code}{by}")


_WORDS: Final = {
    errno.ENETUNREACH: "no route to the network",
    errno.EHOSTUNREACH: "no route to the host, or it answers no ARP",
    errno.EACCES: "a route prohibits it",
    errno.EINVAL: "a route is a black hole",
    errno.EADDRNOTAVAIL: "the source address is not its own",
}
