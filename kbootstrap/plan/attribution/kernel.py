"""What else the kernel says of a way: routes, neighbours, who listens, and what it dropped without any rule."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

REVERSE_PATH: Final = "reverse path"
NO_ROOM: Final = "conntrack"
_USERS: Final = re.compile(r'\("([^"]+)",pid=(\d+)')
_ROUTE_ERRORS: Final = {  # what `ip route get` says → the type of the route that it met
    "Invalid argument": "blackhole",
    "No route to host": "unreachable",
    "Permission denied": "prohibit",
    "Network is unreachable": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The route to an address as ``ip route get`` tells it: *kind* is unicast, local, or why there is none (``none``, blackhole, …)."""

    kind: str
    text: str
    device: str = ""
    gateway: str = ""
    source: str = ""

    @property
    def leads(self) -> bool:
        return self.kind == "unicast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who listens where; *holder* is «program (pid)»."""

    protocol: str
    address: str
    port: int
    holder: str = ""

    def hears(self, address: IPv4Address) -> bool:
        return self.address in ("*", "0.0.0.0", "[::]", str(address), f"[::ffff:{address}]")  # noqa: S104  compared, not bound


def ways(text: str) -> Mapping[IPv4Address, Way]:
    """Of «to ADDRESS» lines, each followed by what ``ip route get`` said."""
    found: dict[IPv4Address, Way] = {}
    for part in re.split(r"^to ", text, flags=re.M)[1:]:
        address, _, said = part.partition("\n")
        found[IPv4Address(address.strip())] = _way(" ".join(said.replace("cache", "").split()))
    return found


def _way(said: str) -> Way:
    if error := next((kind for sign, kind in _ROUTE_ERRORS.items() if sign in said), ""):
        return Way(kind=error, text=said)
    words = said.split()
    after = dict(itertools.pairwise(words))
    kind = words[0] if words and words[0] in ("local", "broadcast", "multicast") else "unicast"
    return Way(kind=kind, text=said, device=after.get("dev", ""), gateway=after.get("via", ""), source=after.get("src", ""))


def special(text: str, address: IPv4Address) -> str:
    """The narrowest route that leads nowhere and holds *address*, as listed; "" if none does."""
    found = [(network.prefixlen, line.strip()) for line in text.splitlines() if (network := _network(line)) and address in network]
    return max(found, default=(0, ""))[1]


def _network(line: str) -> IPv4Network | None:
    words = line.split()
    if len(words) < 2:
        return None
    try:
        return IPv4Network("0.0.0.0/0" if words[1] == "default" else words[1])
    except ValueError:
        return None


def neighbours(text: str) -> Mapping[str, str]:
    """Address → link address, or FAILED or INCOMPLETE where nobody answered."""
    found = {}
    for words in map(str.split, text.splitlines()):
        if words:
            after = dict(itertools.pairwise(words))
            found[words[0]] = after.get("lladdr", words[-1])
    return found


def listeners(text: str) -> tuple[Listener, ...]:
    """Of ``ss -Hlntup``."""
    found = []
    for words in map(str.split, text.splitlines()):
        if len(words) >= 5 and words[0] in ("tcp", "udp"):
            address, _, port = words[4].rpartition(":")
            users = _USERS.search(words[-1])
            holder = f"{users[1]} (pid {users[2]})" if users else ""
            found.append(Listener(protocol=words[0], address=address.partition("%")[0], port=int(port), holder=holder))
    return tuple(found)


def drops(before: str, after: str) -> Mapping[str, int]:
    """What the kernel counted meanwhile: packets refused by the reverse path filter, and those for which connection tracking had no room."""
    old, new = _counters(before), _counters(after)
    return {name: value - old.get(name, 0) for name, value in new.items()}


def _counters(text: str) -> dict[str, int]:
    lines = text.splitlines()
    found = {REVERSE_PATH: 0, NO_ROOM: 0}
    for head, values in itertools.pairwise(lines):
        if head.startswith("TcpExt:") and values.startswith("TcpExt:"):
            found[REVERSE_PATH] = int(dict(zip(head.split(), values.split(), strict=False)).get("IPReversePathFilter", "0"))
    start = next((n for n, line in enumerate(lines) if line.startswith("entries ")), len(lines))
    for row in lines[start + 1 :]:  # one for each processor, hexadecimal
        found[NO_ROOM] += int(dict(zip(lines[start].split(), row.split(), strict=False)).get("drop", "0"), 16)
    return found
