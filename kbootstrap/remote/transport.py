"""paramiko's transport as this project wants it: quick, with GCM first, with the reasons that a server gives, and with the host key it showed."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import paramiko
from paramiko.message import Message
from paramiko.packet import Packetizer

from kbootstrap.errors import ConnectError

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # else its tracebacks reach the user's terminal

KEEPALIVE_S: Final = 5
SILENT_DEAD_S: Final = 30  # unacknowledged for so long: the kernel ends the connection
RECEIVE_BYTES: Final = 128 * 1024
WINDOW_BYTES: Final = 8 * 1024 * 1024
PACKET_BYTES: Final = 32 * 1024


class QuickSocket:
    """A TCP socket for paramiko: no Nagle, no delayed acknowledgements, few and large receives.

    The kernel drops TCP_QUICKACK by itself after a while, so it is set again after each receive; without it the server's Nagle and our delayed ACK
    hold the first channel back for 43 ms.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._read = memoryview(b"")
        self._closed = False
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_DEAD_S * 1000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def recv(self, size: int) -> bytes:
        if not self._read:
            self._read = memoryview(self._socket.recv(RECEIVE_BYTES))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = self._read[:size]
        self._read = self._read[size:]
        return bytes(part)

    def send(self, data: bytes) -> int:
        return self._socket.send(data)

    def settimeout(self, timeout_s: float | None) -> None:
        self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """Idempotent, from any thread; wakes a reader at once, which a bare close would not."""
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self._socket.close()  # was not connected any more
            return
        self._socket.close()


class _Packetizer(Packetizer):
    """New keys after 16 GB instead of 512 MB: each exchange stops the stream, and OpenSSH itself waits for 64 GB with these ciphers."""

    REKEY_BYTES = 2**34
    REKEY_BYTES_OVERFLOW_MAX = 2**34


class Refused(Exception):
    """The server did not open a channel: SSH's reason code (RFC 4254, 5.1) and its own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Transport(paramiko.Transport):
    """One SSH connection. ``host_key_algorithms`` is what we ask for, in order; ``host_key_blob`` what the server showed."""

    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
    _preferred_macs = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
    _active_check_timeout = 2.5  # closing wakes the reader (QuickSocket), so it need not look ten times a second; half of KEEPALIVE_S

    def __init__(self, sock: Any, *, host_key_algorithms: tuple[str, ...]) -> None:
        super().__init__(sock, default_window_size=WINDOW_BYTES, default_max_packet_size=PACKET_BYTES, packetizer_class=_Packetizer)
        self.host_key_algorithms = host_key_algorithms
        self.host_key_blob = b""
        self._opening = threading.local()
        self._postponed: list[Message] = []
        self._reasons: dict[int, Refused] = {}
        handlers: dict[int, Callable[[Message], None]] = vars(self)["_handler_table"]  # in no stub
        handlers[paramiko.common.MSG_CHANNEL_OPEN_FAILURE] = self._channel_refused

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self.host_key_algorithms

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        if self.host_key_blob and host_key != self.host_key_blob:
            raise paramiko.SSHException("the host key changed during the connection")
        super()._verify_key(host_key, sig)  # type: ignore[misc]  # the stubs leave out what begins with an underscore
        self.host_key_blob = host_key

    def _send_user_message(self, data: Message) -> None:
        """Postpone what our own reading thread would send during a key exchange: paramiko lets it wait for the end that it must read itself."""
        if threading.current_thread() is self and not self.clear_to_send.is_set():
            self._postponed.append(data)
        else:
            super()._send_user_message(data)  # type: ignore[misc]

    def _parse_newkeys(self, message: Message) -> None:
        super()._parse_newkeys(message)  # type: ignore[misc]
        while self._postponed and self.clear_to_send.is_set():
            super()._send_user_message(self._postponed.pop(0))  # type: ignore[misc]

    def _next_channel(self) -> int:
        number: int = super()._next_channel()  # type: ignore[misc]
        self._opening.number = number
        return number

    def _channel_refused(self, message: Message) -> None:
        """paramiko keeps one saved exception for all threads, without the server's words: keep them per channel."""
        number, code, text = message.get_int(), message.get_int(), message.get_text()
        self._reasons[number] = Refused(code, text)
        message.rewind()
        super()._parse_channel_open_failure(message)  # type: ignore[misc]

    def channel(self, kind: str, *, to: tuple[str, int] | None = None, timeout_s: float) -> paramiko.Channel:
        """Open a channel. Raises Refused, TimeoutError, or ConnectError when the connection is gone."""
        try:
            return self.open_channel(kind, dest_addr=to, src_addr=("127.0.0.1", 0) if to else None, timeout=timeout_s)
        except (paramiko.SSHException, EOFError, OSError) as error:
            if refused := self._reasons.pop(getattr(self._opening, "number", -1), None):
                raise refused from None
            if not self.is_active():
                raise ConnectError("the connection was lost") from error
            raise TimeoutError(f"no answer within {timeout_s:g} s") from error
