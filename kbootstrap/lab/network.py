"""One bridge in the machine's own namespace, one network namespace and one cable per host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from kbootstrap.errors import CommandError
from kbootstrap.lab.command import run
from kbootstrap.lab.value import Lab, LabHost

NAMESPACES = Path("/run/netns")
LINKS = Path("/sys/class/net")
POOLS = (IPv4Network("10.77.0.0/16"), IPv4Network("172.29.0.0/16"), IPv4Network("192.168.0.0/16"))  # clear of the pods' and services' defaults


def batch(*lines: str) -> None:
    """Run *lines* as arguments of ``ip``, in order, stopping at the first that fails."""
    run(["ip", "-batch", "-"], text="".join(f"{line}\n" for line in lines))


def first_free(taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first /24 that overlaps none of *taken*. CommandError when every candidate does."""
    used = tuple(taken)
    for pool in POOLS:
        for candidate in pool.subnets(new_prefix=24):
            if not any(candidate.overlaps(network) for network in used):
                return candidate
    raise CommandError(f"no /24 of {', '.join(map(str, POOLS))} is free on this machine")


def in_use() -> Iterator[IPv4Network]:
    """The networks of every address and route of this machine, the default route aside."""
    for link in json.loads(run(["ip", "-json", "-4", "address"]) or "[]"):
        for entry in link.get("addr_info", ()):
            yield IPv4Network((entry["local"], entry["prefixlen"]), strict=False)
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]"):
        if route.get("dst", "default") != "default":
            network = ip_network(route["dst"], strict=False)
            if isinstance(network, IPv4Network):
                yield network


def raise_bridge(lab: Lab) -> None:
    """Make the lab's bridge, which holds the hosts' gateway address; what is there already stays."""
    if not (LINKS / lab.bridge).exists():
        batch(f"link add {lab.bridge} type bridge stp_state 0 forward_delay 0")
    batch(
        f"link set {lab.bridge} addrgenmode none",
        f"address replace {lab.network[1]}/{lab.network.prefixlen} dev {lab.bridge}",
        f"link set {lab.bridge} up",
    )


def connect(host: LabHost) -> None:
    """Give *host* a fresh network namespace on the bridge: a reboot keeps no interface, route or firewall table of before."""
    remove(host.label)
    batch(
        f"netns add {host.label}",
        f"link add {host.label} type veth peer name eth0 address {host.mac} netns {host.label}",
        f"link set {host.label} addrgenmode none",
        f"link set {host.label} master {host.bridge} up",
    )
    inside = (
        "link set lo up",
        f"address add {host.address}/{host.network.prefixlen} dev eth0",
        "link set eth0 up",
        f"route add default via {host.gateway}",
    )
    run(["ip", "-netns", host.label, "-batch", "-"], text="".join(f"{line}\n" for line in inside))


def plug(host: LabHost) -> None:
    """Take the host's bridge port up."""
    batch(f"link set {host.label} up")


def unplug(host: LabHost) -> None:
    """Take the host's bridge port down: nothing that the host sends is heard any more, not even the end of its connections."""
    batch(f"link set {host.label} down")


def remove(name: str) -> None:
    """Remove the bridge port or bridge and the namespace called *name*, if they are there. The processes in it must be gone."""
    if (LINKS / name).exists():
        batch(f"link delete {name}")
    if (NAMESPACES / name).exists():
        batch(f"netns delete {name}")


def links(pattern: re.Pattern[str], bridge: str) -> list[str]:
    """The bridge ports whose names match *pattern*, and the *bridge*, as far as they exist."""
    return sorted(link.name for link in LINKS.iterdir() if link.name == bridge or pattern.fullmatch(link.name))


def namespaces(pattern: re.Pattern[str]) -> list[str]:
    """The namespaces whose names match *pattern*."""
    return sorted(space.name for space in NAMESPACES.iterdir() if pattern.fullmatch(space.name)) if NAMESPACES.is_dir() else []


def inode(name: str) -> int:
    """What identifies the namespace *name* in ``/proc/PID/ns/net``; 0 if there is none."""
    try:
        return (NAMESPACES / name).stat().st_ino
    except FileNotFoundError:
        return 0


def is_mounted() -> bool:
    """Whether the folder of namespaces is the mount point that the first ``ip netns add`` makes of it (a bind: ``is_mount`` cannot see it)."""
    return any(line.split()[4] == str(NAMESPACES) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def unmount() -> None:
    """Take back what the first ``ip netns add`` did, if nobody has a namespace there."""
    if is_mounted() and not any(NAMESPACES.iterdir()):
        run(["umount", str(NAMESPACES)])
        NAMESPACES.rmdir()
