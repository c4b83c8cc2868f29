"""A lab and its hosts as frozen values; everything that a host owns on the machine is found by its ``label``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from kbootstrap.errors import UsageError
from kbootstrap.model.host import Role

NAME = re.compile(r"[a-z][a-z0-9]{0,7}")  # "kb-" + name + "-w79" must fit the 15 bytes of a network interface's name
MAX_MASTERS, MAX_WORKERS = 9, 79
FIRST_MASTER, FIRST_WORKER = 11, 21  # the last byte of the address
SUDO_USER = "kb"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One practice host. It is a place, not a process: whether it runs is asked with ``lab.pid(host)``."""

    lab: str
    name: str  # m1, w1
    address: IPv4Address
    network: IPv4Network
    role: Role
    login: str  # root, or a user whose sudo asks for a password
    home: Path  # what the host consists of on the machine's disk
    image: Path  # the base image under its root

    @property
    def label(self) -> str:
        """The name of the host's network namespace, bridge port, cgroups and machine."""
        return f"kb-{self.lab}-{self.name}"

    @property
    def bridge(self) -> str:
        return f"kb-{self.lab}"

    @property
    def gateway(self) -> IPv4Address:
        return self.network[1]

    @property
    def mac(self) -> str:
        """Fixed by the address, as a real card keeps its own over a reboot."""
        return "02:4b:" + ":".join(f"{byte:02x}" for byte in self.address.packed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Practice hosts on one bridge; ``folder`` is their inventory (cluster.yml, known_hosts, ssh/, sudo.pass)."""

    name: str
    network: IPv4Network
    folder: Path
    hosts: tuple[LabHost, ...]

    @property
    def bridge(self) -> str:
        return f"kb-{self.name}"

    @property
    def masters(self) -> tuple[LabHost, ...]:
        return tuple(h for h in self.hosts if h.role is Role.MASTER)

    @property
    def workers(self) -> tuple[LabHost, ...]:
        return tuple(h for h in self.hosts if h.role is Role.WORKER)

    def host(self, name: str) -> LabHost:
        """The host called *name*; UsageError naming those there are."""
        for h in self.hosts:
            if h.name == name:
                return h
        raise UsageError(f"the lab {self.name} has no host {name}", hint=f"Hosts: {', '.join(h.name for h in self.hosts)}.")


def check(name: str, masters: int, workers: int) -> None:
    """Refuse a shape that cannot be named or addressed."""
    if not NAME.fullmatch(name):
        raise UsageError(f"lab name {name!r}: want a small letter, then up to 7 small letters or digits (it becomes part of interface names)")
    for option, count, most in (("--masters", masters, MAX_MASTERS), ("--workers", workers, MAX_WORKERS)):
        if not 0 <= count <= most:
            raise UsageError(f"{option} {count}: want a number from 0 to {most}")
    if not masters + workers:
        raise UsageError("no masters and no workers: want at least one host")


def shape(*, name: str, network: IPv4Network, masters: int, workers: int, home: Path, image: Path, folder: Path) -> Lab:
    """The lab of this shape: masters from .11, workers from .21; every second host is reached by sudo with a password."""

    def hosts() -> Iterator[LabHost]:
        places = [(f"m{n + 1}", FIRST_MASTER + n, Role.MASTER) for n in range(masters)]
        places += [(f"w{n + 1}", FIRST_WORKER + n, Role.WORKER) for n in range(workers)]
        for index, (host, last, role) in enumerate(places):
            login = SUDO_USER if index % 2 else "root"
            place = home / "hosts" / host
            yield LabHost(lab=name, name=host, address=network[last], network=network, role=role, login=login, home=place, image=image)

    return Lab(name=name, network=network, folder=folder, hosts=tuple(hosts()))
