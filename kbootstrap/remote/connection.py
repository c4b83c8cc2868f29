"""What the engine asks of a way to a host; ``ssh.py`` and ``local.py`` provide it, ``testing.FakeHost`` imitates it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A program that ended: exit code (-1 if the channel died without one) and what it wrote to stderr (last 64 KiB)."""

    exit_code: int
    stderr: str


class Running(Protocol):
    """A program under way on the host. Closing it ends the remote shell (its stdin closes, its channel goes)."""

    def lines(self) -> Iterator[bytes]:
        """Stdout line by line (without the newline) as it arrives, until the program ends. A last line without newline is yielded too.

        Raises CommandError when nothing arrived for ``idle_s`` seconds or the whole deadline passed, ConnectError when the connection died.
        """
        ...

    def finish(self) -> Finished:
        """Wait for the end and give the exit code; drains what was not read."""
        ...

    def close(self) -> None:
        """End it now; idempotent."""
        ...


class Stream(Protocol):
    """A byte stream to an address as dialled by the host itself (``direct-tcpip``); blocking, with the dial's own deadline on each call."""

    def sendall(self, data: bytes) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """One way to one host, as root (sudo is handled inside). Usable by several threads; each ``run`` is a channel of its own."""

    host: str

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        """Start *program* (POSIX sh text) as root with ``LC_ALL=C`` and umask 077; *payload* is its standard input.

        The program never appears in an argv on the host: it travels by stdin before the payload. *payload* is sent while output is read, so
        neither side can block the other. After the payload stdin is closed. ``deadline_s`` is for all of it, ``idle_s`` (0 = none) for silence.
        What it starts ends with it when the channel goes or the deadline passes; only a new session (``setsid``, a systemd unit) outlives it.

        Raises ConnectError (connection lost, no room for a session) and PrivilegeError (no root), the latter perhaps only when the output is read.
        """
        ...

    def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
        """Let the host's sshd open a TCP connection to *address*:*port*. Raises CommandError (refused, timeout …, as sshd names it)."""
        ...

    def close(self) -> None:
        """Close everything; idempotent."""
        ...

    def __enter__(self) -> Connection: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
