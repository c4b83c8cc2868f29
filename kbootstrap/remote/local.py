"""``Connection`` to this machine by ``sh``: the same programs, framing and dialogue as over SSH, without the network. Used by tests."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import IO, Final

from kbootstrap.errors import CommandError
from kbootstrap.remote import bootstrap
from kbootstrap.remote.bootstrap import Privilege
from kbootstrap.remote.connection import Running, Stream
from kbootstrap.remote.program import Order, Program

READ_BYTES: Final = 1024 * 1024
WAIT_S: Final = 0.2  # the most that close() waits for a reader


class ProcessPipe:
    """The streams of a local shell in a session of its own, as sshd starts one."""

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._select = selectors.DefaultSelector()
        self._reading = threading.Lock()  # close() waits for a reader: another pipe may get these descriptors' numbers at once
        self._closed = False
        for number, stream in enumerate((self._process.stdout, self._process.stderr)):
            self._select.register(_some(stream), selectors.EVENT_READ, number)

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        until = time.monotonic() + timeout_s
        while True:
            left, got = until - time.monotonic(), [b"", b""]
            with self._reading:
                if self._closed or not self._select.get_map():
                    return None
                for key, _ in self._select.select(max(0.0, min(left, WAIT_S))):
                    got[key.data] = os.read(key.fd, READ_BYTES)
                    if not got[key.data]:
                        self._select.unregister(key.fileobj)
            if any(got) or left <= WAIT_S:
                return got[0], got[1]

    def write(self, data: memoryview) -> None:
        stream = _some(self._process.stdin)
        stream.write(data)
        stream.flush()

    def write_end(self) -> None:
        _some(self._process.stdin).close()

    def exited(self) -> bool:
        return self._process.poll() is not None

    def exit_code(self, timeout_s: float) -> int:
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return -1
        return max(code, -1)

    def close(self) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._process.kill()
            self._process.wait()
        self._closed = True
        with self._reading:
            self._select.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError):  # what a dead process did not read cannot be flushed
                _some(stream).close()


def _some(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise TypeError("all three streams are pipes")
    return stream


class LocalStream:
    """A socket of this machine."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def sendall(self, data: bytes) -> None:
        self._socket.sendall(data)

    def recv(self, size: int) -> bytes:
        try:
            return self._socket.recv(size)
        except TimeoutError:
            raise CommandError("no answer in time") from None

    def close(self) -> None:
        self._socket.close()


class LocalConnection:
    """See ``Connection``; runs as whoever we are unless *privilege* names sudo."""

    def __init__(
        self, host: str = "local", *, user: str = "root", privilege: Privilege = Privilege.ROOT, password: Callable[[], str] | None = None
    ) -> None:
        self.host = host
        self._user = user
        self._privilege = privilege
        self._password = password
        self._pipes: list[ProcessPipe] = []

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        marker = f"kb-{secrets.token_hex(12)}"
        text = bootstrap.wrap(program, marker=marker, deadline_s=deadline_s)
        pipe = ProcessPipe(bootstrap.command(length=len(text), marker=marker, privilege=self._privilege))
        self._pipes = [p for p in self._pipes if not p.exited()] + [pipe]
        order = Order(host=self.host, user=self._user, marker=marker, text=text, payload=payload, deadline_s=deadline_s, idle_s=idle_s)
        return Program(pipe, order, password=self._password)

    def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
        try:
            return LocalStream(socket.create_connection((address, port), timeout=timeout_s))
        except OSError as error:
            raise CommandError(f"{address} port {port}: {(error.strerror or str(error)).lower()}", host=self.host) from None

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()

    def __enter__(self) -> LocalConnection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
