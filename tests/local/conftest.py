"""A real sshd on loopback, started and ended by the test that asks for it; it reads no file but those in the test's own directory."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.model.host import Bastion, Host, Role, Ssh, Sudo

SSHD = "/usr/sbin/sshd"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def keygen(path: Path, *more: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(path), *more], check=True)
    return path


@dataclass
class Sshd:
    """One server: its port, the client's key that it lets in as root, its host keys, and a known_hosts that knows them."""

    root: Path
    options: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ("ed25519",)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        self.key = keygen(self.root / "id_ed25519", "-t", "ed25519")
        shutil.copy(f"{self.key}.pub", self.root / "authorized_keys")
        for kind in self.host_keys:
            keygen(self.root / f"host_{kind}", "-t", kind)
        self.known_hosts = self.root / "known_hosts"
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{self.port} {self.public(kind)}\n" for kind in self.host_keys))
        self.start()

    def public(self, kind: str) -> str:
        return " ".join((self.root / f"host_{kind}.pub").read_text().split()[:2])

    def start(self) -> None:
        keys = [f"HostKey {self.root}/host_{kind}" for kind in self.host_keys]
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            "AuthorizedKeysFile none",
            f"AuthorizedKeysCommand /bin/cat {self.root}/authorized_keys",  # read as root: the directory is closed to other users
            "AuthorizedKeysCommandUser root",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "LogLevel VERBOSE",
            f"SetEnv HOME={self.root}",  # whatever shell files root has on this machine stay out of the test
        ]
        (self.root / "sshd_config").write_text("\n".join([*self.options, *lines, *keys, ""]))
        self.log = self.root / "sshd.log"
        self.process = subprocess.Popen([SSHD, "-D", "-f", str(self.root / "sshd_config"), "-E", str(self.log)])
        until = time.monotonic() + 10
        while "Server listening" not in (self.log.read_text() if self.log.exists() else ""):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "sshd does not listen"
            time.sleep(0.01)

    def host(
        self, name: str = "m1", *, user: str = "root", key: Path | None = None, sudo: Sudo | None = None, bastion: Bastion | None = None
    ) -> Host:
        ssh = Ssh(user=user, host="127.0.0.1", port=self.port, key=key or self.key, sudo=sudo or Sudo(), bastion=bastion)
        return Host(name=name, address=ipaddress.IPv4Address("127.0.0.1"), roles=frozenset({Role.MASTER}), ssh=ssh)

    def children(self) -> list[int]:
        """The sshd processes of open connections."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    def kill_connections(self) -> None:
        """As a host that lost power, or a reboot: the server's side of each connection vanishes."""
        for pid in self.children():
            with suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.kill_connections()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path / "sshd")
    yield server
    server.stop()


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    """Servers with options of their own; all end with the test."""
    made: list[Sshd] = []

    def make(**more: Any) -> Sshd:
        made.append(Sshd(tmp_path / f"sshd{len(made)}", **more))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither an agent nor keys of whoever runs the tests."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
