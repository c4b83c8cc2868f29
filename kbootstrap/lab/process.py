"""The processes of hosts, found by what they cannot hide: namespace, cgroup, and nspawn's own command line."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

from kbootstrap.errors import CommandError
from kbootstrap.lab import network

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)  # a process with more rights than ours is no lab's


def pids() -> Iterator[int]:
    """Every process but this one."""
    own = os.getpid()
    return (int(place.name) for place in Path("/proc").iterdir() if place.name.isdigit() and int(place.name) != own)


def members(pattern: re.Pattern[str]) -> frozenset[int]:
    """Processes of the hosts whose label matches *pattern*: PID 1 and all below, nspawn, and a launcher on its way to become nspawn."""
    inodes = {network.inode(name) for name in network.namespaces(pattern)} - {0}
    return frozenset(pid for pid in pids() if _belongs(pid, pattern, inodes))


def _belongs(pid: int, pattern: re.Pattern[str], inodes: Collection[int]) -> bool:
    try:
        parts = re.split(r"[/\n]", _read(pid, "cgroup"))
        if any(part.startswith("kb-") and pattern.fullmatch(part.removesuffix(".scope")) for part in parts):
            return _state(pid) != "Z"
        if inodes and Path(f"/proc/{pid}/ns/net").stat().st_ino in inodes:
            return True
        return any(a.startswith("--machine=") and pattern.fullmatch(a.removeprefix("--machine=")) for a in _arguments(pid))
    except _GONE:
        return False


def using(folder: Path) -> frozenset[int]:
    """Processes that were given a path below *folder* as an argument: what a killed tool had just started."""
    return frozenset(pid for pid in pids() if any(a.startswith(f"{folder}/") or a == str(folder) for a in _arguments(pid)))


def _arguments(pid: int) -> list[str]:
    try:
        return _read(pid, "cmdline").split("\0")
    except _GONE:
        return []


def _read(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text(errors="replace")


def first(label: str) -> int:
    """The PID, as this machine numbers it, of the host's PID 1; 0 if the host is off."""
    inode = network.inode(label)
    for pid in pids() if inode else ():
        try:
            if Path(f"/proc/{pid}/ns/net").stat().st_ino != inode:
                continue
            inner = re.search(r"^NSpid:(.*)$", _read(pid, "status"), re.MULTILINE)
            if inner and len(numbers := inner[1].split()) == 2 and numbers[1] == "1":
                return pid
        except _GONE:
            continue
    return 0


def alive(pid: int) -> bool:
    """Whether *pid* still runs; a child of ours that ended is reaped on the way."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return _state(pid) != "Z"
    except _GONE:
        return False


def _state(pid: int) -> str:
    return _read(pid, "stat").rpartition(")")[2].split()[0]


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill(find: Callable[[], frozenset[int]], *, timeout_s: float = 20.0) -> None:
    """SIGKILL every process that *find* gives, and what those start meanwhile, until it gives none."""
    deadline = time.monotonic() + timeout_s
    while left := find():
        for pid in left:
            send(pid, signal.SIGKILL)
        while any(alive(pid) for pid in left):
            if time.monotonic() > deadline:
                raise CommandError(f"processes of the lab do not die: {', '.join(map(str, sorted(left)))}")
            time.sleep(0.01)


def wait_end(pattern: re.Pattern[str], *, timeout_s: float) -> bool:
    """Wait until no process of the matching hosts is left; False when time is up."""
    deadline = time.monotonic() + timeout_s
    while left := members(pattern):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
        for pid in left:
            alive(pid)
    return True
