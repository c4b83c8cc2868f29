"""Whom this process may speak to. With ``offline: true`` that is the hosts of the inventory and the way to them; nobody else gets a packet.

It is the interpreter's own audit (PEP 578) that is asked, before each connection, so no library is trusted to have been told. What a child process
does it does not see: without sources to ask none is started. Of names only those of the hosts are asked for.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from kbootstrap.errors import OfflineError

_CONNECTING: Final = ("socket.connect", "socket.sendto", "socket.sendmsg")
_RESOLVING: Final = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_lock: Final = threading.Lock()


@dataclass(slots=True)
class _Rule:
    """The process has one. *allowed* None: anybody may be spoken to."""

    allowed: frozenset[str] | None = None
    names: frozenset[str] = frozenset()
    hooked: bool = False
    seen: Counter[str] = field(default_factory=Counter)


_rule: Final = _Rule()


def confine(hosts: Iterable[str] | None) -> None:
    """From now on only *hosts* (addresses, and names that are resolved now) may be spoken to; None: anybody."""
    if hosts is None:
        _rule.allowed = None
        return
    wanted = frozenset(hosts)
    _rule.allowed = None
    found = frozenset(address for host in wanted for address in _addresses(host))
    with _lock:
        if not _rule.hooked:
            sys.addaudithook(_audit)
            _rule.hooked = True
    _rule.names, _rule.seen, _rule.allowed = wanted, Counter(), found


def counted() -> Mapping[str, int]:
    """Address → how many connections were made to it since ``confine``."""
    return dict(_rule.seen)


def _addresses(host: str) -> list[str]:
    if _is_address(host):
        return [host]
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None)]
    except OSError:  # it cannot be reached either; who tries says so
        return []


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """Called by the interpreter for every event of the process: quick where it is none of ours."""
    if _rule.allowed is None or not event.startswith("socket."):
        return
    if event in _CONNECTING and args[0].family in (socket.AF_INET, socket.AF_INET6) and args[1]:
        address = str(args[1][0])
        if address not in _rule.allowed:
            raise _refusal(f"a connection to {address}")
        _rule.seen[address] += event == _CONNECTING[0]
    elif event in _RESOLVING and args[0] is not None:
        host = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
        if host not in _rule.names and not _is_address(host) and host != socket.gethostname():
            raise _refusal(f"the question where {host} is")


def _refusal(what: str) -> OfflineError:
    hint = "No packet of it was sent. If it is on the way to a host, name it in cluster.yml, as ssh.bastion, and run the same command again."
    return OfflineError(f"offline: true, and {what} would leave the hosts of the inventory; it was refused", hint=hint)
