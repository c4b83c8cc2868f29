"""Hosts on loopback: real OpenSSH servers, a folder per host, up in a second and gone with their driver, however that ends."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

PROJECT: Final = Path(__file__).parents[1]
PREFIX: Final = "kb-bench-"
SHARED: Final = 16  # ports that one sshd can listen on (MAX_LISTEN_SOCKS)
ALONE: Final = 32  # up to so many hosts have an sshd each


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host: its name, its port on 127.0.0.1, and its root folder."""

    name: str
    port: int
    root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the hosts cost so far: CPU seconds of all their processes (sshd's too), processes started, sessions opened, processes alive."""

    cpu_s: float
    processes: int
    sessions: int
    alive: int

    def since(self, before: Spent) -> Spent:
        return Spent(
            cpu_s=round(self.cpu_s - before.cpu_s, 3),
            processes=self.processes - before.processes - 1,  # the count itself is a process
            sessions=self.sessions - before.sessions,
            alive=self.alive,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """Running hosts. *key* lets in as root; *known_hosts* names them all."""

    base: Path
    places: tuple[Place, ...]
    process: subprocess.Popen[str]

    @property
    def key(self) -> Path:
        return self.base / "key"

    @property
    def known_hosts(self) -> Path:
        return self.base / "known_hosts"

    def spent(self) -> Spent:
        """Now. RuntimeError if the hosts are gone."""
        if self.process.stdin is None or self.process.poll() is not None:
            raise RuntimeError(f"the hosts ended: exit code {self.process.poll()}")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        said = _line(self.process)
        sessions = sum(log.read_bytes().count(b"Starting session:") for log in self.base.glob("sshd*.log"))
        return Spent(cpu_s=said["cpu_s"], processes=said["processes"], sessions=sessions, alive=said["alive"])

    def write_known_hosts(self, ports: Sequence[int]) -> None:
        """Every port shows the same key: one host key for all hosts keeps starting them quick."""
        public = " ".join((self.base / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{port} {public}\n" for port in ports))


@contextmanager
def hosts(count: int, *, per_server: int = 0) -> Iterator[Farm]:
    """So many hosts, h1 …; *per_server* of them behind each sshd (0: one, or 16 where they are many). Needs root."""
    sweep()
    each = per_server or (1 if count <= ALONE else SHARED)
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)))
        stack.enter_context(FileLock(base / "lock"))
        base.chmod(0o755)
        places = [Place(name=f"h{n}", port=port, root=base / "hosts" / f"h{n}") for n, port in enumerate(free_ports(count), 1)]
        groups = [places[start : start + each] for start in range(0, count, each)]
        (base / "plan.json").write_text(json.dumps({"servers": [[(place.name, place.port) for place in group] for group in groups]}))
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(base / name)], check=True)
        farm = Farm(base=base, places=tuple(places), process=stack.enter_context(_started(base)))
        farm.write_known_hosts([place.port for place in places])
        yield farm


@contextmanager
def _started(base: Path) -> Iterator[subprocess.Popen[str]]:
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--propagation", "private", sys.executable, "-m", "bench.farm", str(base)]
    with (
        (base / "farm.err").open("wb") as errors,
        subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            _line(process, errors=base / "farm.err")
            yield process
        finally:
            if process.stdin is not None:
                with suppress(BrokenPipeError):
                    process.stdin.close()  # it exits at the end of its input, and the kernel ends the rest
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()  # --kill-child


def _line(process: subprocess.Popen[str], errors: Path | None = None) -> Any:
    text = process.stdout.readline() if process.stdout is not None else ""
    if not text:
        raise RuntimeError(f"the hosts do not start: {errors.read_text()[-800:] if errors else 'ended'}")
    return json.loads(text)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now, and outside of the range from which the kernel takes those of clients."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    port = 10240 + os.getpid() * 37 % 8192
    while len(found) < count:
        port = port + 1 if port + 1 < low else 2048
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            found.append(port)
    return found


def sweep() -> None:
    """Remove the folders of drivers that were killed; a living one holds the lock in its own."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/"):
        with suppress(Timeout, OSError), FileLock(folder / "lock", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
