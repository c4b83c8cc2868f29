"""What is said to the program and what it says, and the shell text that starts it. Pure; the words are explained at the head of kb-probe.c."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.model.host import ProxyMode

LIFE_S: Final = 300  # of the program, whatever else fails
ANY: Final = IPv4Address(0)
PLACES: Final = ("/run", "/var/tmp", "/tmp", "/root", "/dev/shm")  # noqa: S108  mktemp makes a root-only folder of its own
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
READY: Final = b"ready"
DONE: Final = b"done"
NO_ICMP: Final = 255

_SERVICES: Final = {  # the node ports that kube-proxy serves: there a packet never reaches a listener of ours
    ProxyMode.NFTABLES: "{ nft list map ip kube-proxy service-nodeports; nft list map ip kube-proxy no-endpoint-nodeports; } 2>/dev/null |"
    " grep -oE '(tcp|udp) [.] [0-9]+' | sed 's/^/service /; s/ [.]//'",
    ProxyMode.IPTABLES: "iptables-save 2>/dev/null | grep -E '^-A KUBE-(NODEPORTS|EXTERNAL-SERVICES) ' |"
    " sed -nE 's/.*-p (tcp|udp) .*--dport ([0-9]+) .*/service \\1 \\2/p'",
    ProxyMode.IPVS: "while read -r protocol place rest; do case $protocol in TCP|UDP) printf 'service %s %d\\n'"
    ' "$(echo "$protocol" | tr A-Z a-z)" "0x${place#*:}";; esac; done 2>/dev/null </proc/net/ip_vs',
}

_PROGRAM: Final = """d=
trap 'rm -rf "$d"' EXIT
trap 'exit 143' TERM
{services} || :
if [ "$(uname -m)" != {machine} ]; then echo 'unable its processor is no {machine}'; exit 0; fi
kept= found=
for place in {places}; do
    d=$(mktemp -d "$place/kb-probe.XXXXXXXX" 2>/dev/null) || continue
    if [ -n "$kept" ]; then cp "$kept/kb-probe" "$d/"; else head -c {size} >"$d/kb-probe"; fi && chmod 700 "$d/kb-probe" || exit 1
    "$d/kb-probe" 2>/dev/null
    if [ $? = 64 ]; then found=1; break; fi
    if [ -n "$kept" ]; then rm -rf "$d"; else kept=$d; fi
done
[ -z "$kept" ] || rm -rf "$kept"
if [ -z "$found" ]; then echo 'unable no folder of {places} lets a program run (noexec?)'; exit 0; fi
ifindex=
{device}"$d/kb-probe" "$d" {life} $ifindex
"""
_DEVICE: Final = """if [ -d /sys/class/net/{device} ]; then
    read -r ifindex </sys/class/net/{device}/ifindex && read -r mtu </sys/class/net/{device}/mtu && echo "tunnel $mtu"
fi
"""


def program(*, arch: str, size: int, proxy: ProxyMode, tunnel: str = "") -> str:
    """The shell text that takes the program's *size* bytes from its standard input, and runs it with what follows; nothing of it stays behind.

    *tunnel* is the device of the overlay, where there may be one. Its first lines are those of ``hello``.
    """
    device = _DEVICE.format(device=tunnel) if tunnel else ""
    return _PROGRAM.format(services=_SERVICES[proxy], machine=MACHINES[arch], places=" ".join(PLACES), size=size, life=LIFE_S, device=device)


def listens(token: str, host: str, address: IPv4Address, ports: Iterable[tuple[str, int]]) -> bytes:
    """Listen on *ports* (protocol, number) of *address*, answer as *host*, and say when that is so."""
    lines = [f"name {token} {host}", *(f"listen {protocol} {address} {number}" for protocol, number in ports), "ready"]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One question: *protocol* is tcp, udp or vxlan; *want*: whether our listener should answer, for vxlan the bytes of a full frame."""

    id: int
    protocol: str
    address: IPv4Address
    port: int
    want: int
    source: IPv4Address = ANY
    vni: int = 0


def dials(asked: Iterable[Dial]) -> bytes:
    """All of *asked*, to be made at once."""
    lines = [f"dial {d.id} {d.protocol} {d.address} {d.port} {d.source} {d.want} {d.vni}" for d in asked]
    return "".join(f"{line}\n" for line in [*lines, "go"]).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What a host said before any dial. *ports*: (protocol, number) → errno of our listener, 0 if it is up; *services*: node ports that kube-proxy
    serves; *tunnel*: the MTU of the overlay's device, 0 where there is none; *unable*: why the program does not run there."""

    ports: Mapping[tuple[str, int], int] = field(default_factory=dict)
    services: frozenset[tuple[str, int]] = frozenset()
    tunnel: int = 0
    unable: str = ""

    def listening(self, protocol: str, number: int) -> bool:
        return self.ports.get((protocol, number)) == 0

    def taken(self, protocol: str, number: int) -> bool:
        """Something that is not ours listens there."""
        return self.ports.get((protocol, number)) == errno.EADDRINUSE


def hello(lines: Iterable[bytes]) -> Hello:
    """Read up to ``ready``, or to the end of *lines* where the program does not run."""
    ports: dict[tuple[str, int], int] = {}
    services: set[tuple[str, int]] = set()
    tunnel, unable = 0, "the probe ended at once"
    for line in lines:
        if line == READY:
            unable = ""
            break
        match line.decode("utf-8", "replace").split():
            case ["listen", protocol, number, error]:
                ports[protocol, int(number)] = int(error)
            case ["service", protocol, number]:
                services.add((protocol, int(number)))
            case ["tunnel", mtu]:
                tunnel = int(mtu)
            case ["unable", *why]:
                unable = " ".join(why)
    return Hello(ports=ports, services=frozenset(services), tunnel=tunnel, unable=unable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a dial: *what* is open, error, local or silent; *icmp* is (type, code) of the message behind an error, *offender* who sent it."""

    what: str
    errno: int = 0
    icmp: tuple[int, int] | None = None
    offender: IPv4Address = ANY
    elapsed_ms: int = 0
    answer: str = ""


def reply(line: bytes) -> tuple[int, Reply] | None:
    """A dial's id and result, if *line* is one."""
    words = line.decode("utf-8", "replace").split(" ", 8)
    if words[0] != "dial" or len(words) < 8:
        return None
    kind, code = int(words[4]), int(words[5])
    icmp = None if kind == NO_ICMP else (kind, code)
    answer = words[8] if len(words) > 8 else ""
    found = Reply(what=words[2], errno=int(words[3]), icmp=icmp, offender=IPv4Address(words[6]), elapsed_ms=int(words[7]), answer=answer.strip())
    return int(words[1]), found


def seen(line: bytes) -> tuple[int, int] | None:
    """A dial's id and the bytes of its frame that came out of the tunnel here, if *line* says so."""
    words = line.decode("utf-8", "replace").split()
    return (int(words[1]), int(words[2])) if words[:1] == ["seen"] and len(words) == 3 else None
