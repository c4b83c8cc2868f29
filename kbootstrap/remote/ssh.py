"""``Connection`` over SSH: one TCP connection per host for the whole run, a channel for each program.

Every wait has an end: a hop's connecting, key exchange and login share one deadline, kept by a watchdog that closes the socket (paramiko has none
for key exchange); a silently dead connection is ended by the kernel; each program has its own deadline.
"""

from __future__ import annotations

import math
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from kbootstrap.errors import CommandError, ConnectError
from kbootstrap.model.host import Host
from kbootstrap.remote import bootstrap, doors, hostkeys, login, sshconfig
from kbootstrap.remote.bootstrap import Privilege
from kbootstrap.remote.channel import ChannelPipe, ChannelStream
from kbootstrap.remote.connection import Running, Stream
from kbootstrap.remote.hostkeys import KnownHosts
from kbootstrap.remote.program import Order, Program
from kbootstrap.remote.sshconfig import Way
from kbootstrap.remote.transport import KEEPALIVE_S, QuickSocket, Refused, Transport

SESSIONS: Final = 8  # at once on one connection; sshd's default MaxSessions is 10
CROWDED_S: Final = 30.0  # how long a full sshd is asked again (MaxSessions, MaxStartups)


def connect(
    host: Host,
    *,
    known_hosts: Path,
    password: Callable[[], str] | None = None,
    timeout_s: float = 20.0,
    ssh_config: Path | None = sshconfig.USER_CONFIG,
) -> SshConnection:
    """Log in to *host*, each hop within *timeout_s* (connecting, key exchange and login together). Changes nothing on the host.

    An sshd that is only busy (MaxStartups) is asked again for longer than that, and by fewer at a time (``doors``).

    *password* gives sudo's password, asked for only when sudo wants it; None means ``sudo -n``. Whether root can be had shows in the first ``run``.
    Raises ConnectError (down, unreachable, too slow), HostKeyError, AuthError; never a bare exception of a library.
    """
    try:
        way = sshconfig.resolve(host.ssh, ssh_config)
        keys = hostkeys.load(known_hosts)
        with ExitStack() as undo:
            hops = _enter(way, keys, undo, timeout_s=timeout_s)
            undo.pop_all()
    except ConnectError as error:
        error.host = error.host or host.name
        raise
    return SshConnection(host=host.name, hops=hops, user=way.user, privilege=_privilege(host, password), password=password)


def _privilege(host: Host, password: Callable[[], str] | None) -> Privilege:
    if host.ssh.user == "root" and not host.ssh.sudo.needed:
        return Privilege.ROOT
    return Privilege.SUDO if password is None else Privilege.SUDO_ASKS


def _enter(way: Way, keys: KnownHosts, undo: ExitStack, *, timeout_s: float) -> list[Transport]:
    """Log in hop by hop; each transport is closed by *undo*. A full sshd (it drops us before the key exchange) is asked again."""
    before = _enter(way.via, keys, undo, timeout_s=timeout_s) if way.via else []
    door = doors.door(way.dial)
    pause_s, patience_s, began = 0.1, timeout_s, time.monotonic()
    while True:
        try:
            with door.turn() as waited_s:
                began += waited_s
                left_s = min(timeout_s, began + patience_s - time.monotonic())
                transport = _knock(door, way, keys, before[-1] if before else None, timeout_s=left_s)
        except _Dropped as dropped:
            patience_s = max(timeout_s, doors.PATIENCE_S) if door.opened else timeout_s
            if time.monotonic() + pause_s >= began + patience_s:
                raise ConnectError(f"{_place(way)}: {dropped}", hint="Is that an SSH server, and is its MaxStartups large enough?") from None
            time.sleep(pause_s + secrets.randbelow(1000) / 1000 * pause_s)  # hosts behind one bastion must not come back all at once
            pause_s = min(2 * pause_s, 2.0)
        else:
            undo.callback(transport.close)
            return [*before, transport]


def _knock(door: doors.Door, way: Way, keys: KnownHosts, via: Transport | None, *, timeout_s: float) -> Transport:
    try:
        transport = _attempt(way, keys, via, timeout_s=timeout_s)
    except _Dropped:
        door.turned_away()
        raise
    door.let_in()
    return transport


class _Dropped(Exception):
    """The server closed the connection before the key exchange: worth another attempt."""


def _attempt(way: Way, keys: KnownHosts, via: Transport | None, *, timeout_s: float) -> Transport:
    left_s = max(0.1, timeout_s)
    sock: Any = _through(via, way, left_s) if via else _dial(way, left_s)
    transport = Transport(sock, host_key_algorithms=keys.algorithms(hostkeys.known_name(way.host, way.port)))
    transport.banner_timeout = transport.handshake_timeout = left_s + 5  # the watchdog comes first; paramiko asks the wall clock, which may jump
    transport.auth_timeout = math.inf
    late = threading.Event()
    watchdog = threading.Timer(left_s, _too_late, (late, sock))
    watchdog.daemon = True
    watchdog.start()
    try:
        _shake_hands(transport, way, keys)
    except BaseException as error:
        transport.close()
        sock.close()
        if late.is_set():
            raise ConnectError(f"{_place(way)}: connected, but no login within {left_s:.0f} s", hint="Is its sshd overloaded?") from None
        raise error from None
    finally:
        watchdog.cancel()
    transport.set_keepalive(KEEPALIVE_S)
    return transport


def _too_late(late: threading.Event, sock: Any) -> None:
    late.set()
    sock.close()


def _shake_hands(transport: Transport, way: Way, keys: KnownHosts) -> None:
    try:
        transport.start_client()
    except IncompatiblePeer as error:
        raise ConnectError(
            f"{_place(way)}: no common algorithm: {error}", hint="Its sshd allows only what we do not speak (or the reverse)."
        ) from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _Dropped(f"the connection was closed before the key exchange ({error or 'end of stream'})") from None
    keys.verify(way.host, way.port, str(transport.host_key_type), transport.host_key_blob)
    try:
        login.authenticate(transport, way.user, way.keys, host=_place(way))
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise ConnectError(f"{_place(way)}: the connection ended during login ({error or 'end of stream'})") from None


def _dial(way: Way, timeout_s: float) -> QuickSocket:
    try:
        return QuickSocket(socket.create_connection(way.dial, timeout=timeout_s))
    except TimeoutError:
        what = f"no answer within {timeout_s:.0f} s"
    except ConnectionRefusedError:
        what = "connection refused"
    except socket.gaierror as error:
        what = f"name not resolved ({error.strerror})"
    except OSError as error:
        what = (error.strerror or str(error)).lower()
    raise ConnectError(f"{_place(way)}: {what}", hint="Is the host up, sshd running, and are ssh.host and ssh.port in cluster.yml right?") from None


def _through(via: Transport, way: Way, timeout_s: float) -> paramiko.Channel:
    try:
        return via.channel("direct-tcpip", to=way.dial, timeout_s=timeout_s)
    except (Refused, TimeoutError) as error:
        raise ConnectError(f"{_place(way)} through the bastion: {error}", hint="Is it reachable from there (AllowTcpForwarding)?") from None


def _place(way: Way) -> str:
    return f"{way.dial[0]} port {way.dial[1]}"


class SshConnection:
    """See ``Connection``. Usable by several threads; more programs than sshd allows at once wait for each other."""

    def __init__(self, *, host: str, hops: list[Transport], user: str, privilege: Privilege, password: Callable[[], str] | None) -> None:
        self.host = host
        self._hops = hops
        self._transport = hops[-1]
        self._user = user
        self._privilege = privilege
        self._password = password
        self._sessions = threading.BoundedSemaphore(SESSIONS)

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        marker = f"kb-{secrets.token_hex(12)}"
        text = bootstrap.wrap(program, marker=marker, deadline_s=deadline_s)
        pipe = self._session(min(deadline_s, CROWDED_S))
        try:
            pipe.start(bootstrap.command(length=len(text), marker=marker, privilege=self._privilege))
        except (paramiko.SSHException, EOFError, OSError) as error:
            pipe.close()
            raise ConnectError(f"the connection was lost ({error})", host=self.host) from error
        order = Order(host=self.host, user=self._user, marker=marker, text=text, payload=payload, deadline_s=deadline_s, idle_s=idle_s)
        return Program(pipe, order, password=self._password if self._privilege is Privilege.SUDO_ASKS else None)

    def _session(self, timeout_s: float) -> ChannelPipe:
        """A session channel; a full sshd is asked again until *timeout_s*, since another program's end makes room."""
        until, pause_s = time.monotonic() + timeout_s, 0.05
        if not self._sessions.acquire(timeout=timeout_s):
            raise ConnectError(f"{SESSIONS} programs run on this connection and none ended within {timeout_s:g} s", host=self.host)
        try:
            while True:
                try:
                    channel = self._transport.channel("session", timeout_s=max(1.0, until - time.monotonic()))
                    return ChannelPipe(channel, host=self.host, release=self._sessions.release)
                except Refused as refused:
                    if time.monotonic() + pause_s >= until:
                        hint = "Raise MaxSessions in its sshd_config (default 10)."
                        raise ConnectError(f"sshd opens no further session: {refused}", host=self.host, hint=hint) from None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 1.0)
        except BaseException as error:
            self._sessions.release()
            raise self._named(error) from None

    def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
        try:
            return ChannelStream(self._transport.channel("direct-tcpip", to=(address, port), timeout_s=timeout_s), timeout_s)
        except Refused as refused:
            what, hint = (refused.text or "refused").lower(), ""
            if refused.code == paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
                what, hint = f"its sshd forbids forwarding ({what})", "Set AllowTcpForwarding yes (or local) in its sshd_config."
            raise CommandError(f"{address} port {port}: {what}", hint=hint, host=self.host) from None
        except TimeoutError:
            raise CommandError(f"{address} port {port}: no answer within {timeout_s:g} s", host=self.host) from None
        except ConnectError as error:
            raise self._named(error) from None

    def _named(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return ConnectError(f"sshd does not open a session: {error}", host=self.host)
        if isinstance(error, ConnectError):
            error.host = error.host or self.host
        return error

    def close(self) -> None:
        for transport in reversed(self._hops):
            transport.close()
            transport.sock.close()  # a transport that has ended by itself leaves its socket open

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
