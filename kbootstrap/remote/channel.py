"""SSH channels as this project uses them: a ``Pipe`` for a program, a ``Stream`` for a dialled connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import paramiko

from kbootstrap.errors import CommandError, ConnectError

READ_BYTES: Final = 1024 * 1024
GONE: Final = (OSError, EOFError, paramiko.SSHException)  # what paramiko raises, now this, now that, once a connection is dead


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (EOFError, paramiko.SSHException) as error:
        raise ConnectionError("the connection was lost") from error


class _Wake(threading.Event):
    """What paramiko's buffers take for an event; two buffers share one real event, so none may clear it."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """Cleared by the reader alone, before it looks."""


class ChannelPipe:
    """The streams of a remote shell. Both outputs are read together: an unread stderr would stop stdout, they share the channel's window."""

    def __init__(self, channel: paramiko.Channel, *, host: str, release: Callable[[], None]) -> None:
        self._channel = channel
        self._host = host
        self._release = release
        self._arrived = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        wake = _Wake(self._arrived)
        for buffer in (channel.in_buffer, channel.in_stderr_buffer):
            buffer.set_event(wake)

    def start(self, command: str) -> None:
        self._channel.exec_command(command)

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        until = time.monotonic() + timeout_s
        channel = self._channel
        while True:
            self._arrived.clear()
            ended = channel.eof_received or channel.closed  # before looking: what is buffered now came before the end
            try:
                err = channel.recv_stderr(READ_BYTES) if channel.recv_stderr_ready() else b""
                out = channel.recv(READ_BYTES) if channel.recv_ready() else b""
            except GONE:  # receiving opens the window again, that is, it sends
                return None
            if out or err:
                return out, err
            if ended:
                return None
            if not self._arrived.wait(max(0.0, until - time.monotonic())):
                return b"", b""

    def write(self, data: memoryview) -> None:
        with _as_os_error():
            self._channel.sendall(data)  # type: ignore[arg-type]  # a memoryview: with bytes, paramiko copies the rest at each packet

    def write_end(self) -> None:
        with _as_os_error():
            self._channel.shutdown_write()

    def exited(self) -> bool:
        return self._channel.exit_status_ready()

    def exit_code(self, timeout_s: float) -> int:
        self._channel.status_event.wait(timeout_s)
        if self._channel.exit_status < 0 and not self._closed and not self._channel.get_transport().is_active():
            raise ConnectError("the connection was lost while a program ran", host=self._host, hint="Run the same command again; it resumes.")
        return self._channel.exit_status

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        try:
            self._channel.close()
        except GONE:
            return  # the connection is gone, and the channel with it
        finally:
            self._release()


class ChannelStream:
    """A connection dialled by the host; each call ends within the dial's deadline."""

    def __init__(self, channel: paramiko.Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        channel.settimeout(timeout_s)

    def sendall(self, data: bytes) -> None:
        try:
            self._channel.sendall(memoryview(data))  # type: ignore[arg-type]  # a memoryview, as above
        except TimeoutError:
            raise CommandError(f"nothing taken for {self._timeout_s:g} s") from None
        except GONE as error:
            raise CommandError("the connection was lost") from error

    def recv(self, size: int) -> bytes:
        try:
            return self._channel.recv(size)
        except TimeoutError:
            raise CommandError(f"no answer for {self._timeout_s:g} s") from None
        except GONE as error:
            raise CommandError("the connection was lost") from error

    def close(self) -> None:
        with suppress(*GONE):  # gone with its connection
            self._channel.close()
