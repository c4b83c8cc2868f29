"""First contact: which keys a host shows, before anybody logs in to it.

A bastion must be trusted before it is gone through. What known_hosts says about the keys is the matter of trust.py.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from kbootstrap.errors import CommandError, ConnectError
from kbootstrap.model.host import Host, Ssh
from kbootstrap.remote import ssh, sshconfig
from kbootstrap.remote.connection import Stream
from kbootstrap.remote.hostkeys import fingerprint, known_name
from kbootstrap.remote.sshconfig import Way
from kbootstrap.remote.transport import QuickSocket, Transport

# One key exchange shows one key, so each family is asked for by itself, as ssh-keyscan does.
FAMILIES: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
PARALLEL: Final = 20
Dial = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKey:
    """A public key in wire format; *kind* is its type as known_hosts names it."""

    kind: str
    blob: bytes

    def __str__(self) -> str:
        return f"{self.kind} {fingerprint(self.blob)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A door whose keys are wanted: *names* are the hosts behind it, *name* is what known_hosts calls it."""

    names: tuple[str, ...]
    name: str
    way: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a door showed: keys, or the *error* that kept it from showing any."""

    target: Target
    keys: tuple[HostKey, ...] = ()
    error: ConnectError | None = None


def targets(hosts: Iterable[Host], *, ssh_config: Path | None = sshconfig.USER_CONFIG) -> tuple[tuple[Target, ...], ...]:
    """The doors to *hosts* in rounds: each round's doors are reached through those of the rounds before (bastions first)."""
    rounds: list[dict[str, Target]] = []
    for host in hosts:
        hops = list(_hops(sshconfig.resolve(host.ssh, ssh_config)))
        for depth, way in enumerate(hops):
            if depth == len(rounds):
                rounds.append({})
            name = known_name(way.host, way.port)
            label = host.name if way is hops[-1] else f"bastion {way.host}"
            before = rounds[depth].get(name)
            names = tuple(dict.fromkeys([*(before.names if before else ()), label]))
            rounds[depth][name] = Target(names=names, name=name, way=way)
    return tuple(tuple(doors.values()) for doors in rounds)


def _hops(way: Way) -> Iterator[Way]:
    if way.via is not None:
        yield from _hops(way.via)
    yield way


def collect(doors: Iterable[Target], *, known_hosts: Path, timeout_s: float = 10.0) -> tuple[Seen, ...]:
    """Ask every door for its keys, at most PARALLEL at once, each within *timeout_s*; an unreachable one becomes an error in its place."""

    def ask(door: Target) -> Seen:
        try:
            return Seen(target=door, keys=host_keys(door.way, known_hosts=known_hosts, timeout_s=timeout_s))
        except ConnectError as error:
            return Seen(target=door, error=error)

    with ThreadPoolExecutor(max_workers=PARALLEL, thread_name_prefix="trust") as pool:
        return tuple(pool.map(ask, doors))


def host_keys(way: Way, *, known_hosts: Path, timeout_s: float) -> tuple[HostKey, ...]:
    """The keys that *way*'s end shows, one of each family. ConnectError if it cannot be reached or shows none."""
    with _dialling(way, known_hosts, timeout_s) as dial:
        found = [key for family in FAMILIES if (key := _shown_key(dial, family, _place(way), timeout_s))]
    if not found:
        raise ConnectError(f"{_place(way)}: shows no key of a type that is used here", hint="Expected ed25519, ecdsa or rsa.")
    return tuple(found)


def _shown_key(dial: Dial, family: tuple[str, ...], place: str, timeout_s: float) -> HostKey | None:
    """The server's key of *family*, proven by its signature over the exchange; None if it has none."""
    sock = dial()
    transport = Transport(sock, host_key_algorithms=family)
    transport.banner_timeout = transport.handshake_timeout = timeout_s
    watchdog = threading.Timer(timeout_s, sock.close)
    watchdog.daemon = True
    watchdog.start()
    try:
        transport.start_client()
        kind = str(transport.host_key_type)
        return HostKey(kind="ssh-rsa" if kind.startswith("rsa-") else kind, blob=transport.host_key_blob)
    except IncompatiblePeer:
        return None
    except (paramiko.SSHException, EOFError, OSError, CommandError) as error:
        raise ConnectError(f"{place}: no SSH key exchange ({error or 'end of stream'})", hint="Is that an SSH server?") from None
    finally:
        watchdog.cancel()
        transport.close()
        sock.close()


@contextmanager
def _dialling(way: Way, known_hosts: Path, timeout_s: float) -> Iterator[Dial]:
    """Gives a function that opens a fresh byte stream to *way*, through its bastion if it has one."""
    if way.via is None:
        yield lambda: _dial(way, timeout_s)
        return
    with ssh.connect(_as_host(way.via), known_hosts=known_hosts, timeout_s=timeout_s) as bastion:

        def through() -> _StreamSocket:
            try:
                return _StreamSocket(bastion.dial(*way.dial, timeout_s=timeout_s))
            except CommandError as error:
                raise ConnectError(f"{_place(way)} through the bastion: {error.message}", hint=error.hint) from None

        yield through


def _dial(way: Way, timeout_s: float) -> QuickSocket:
    try:
        return QuickSocket(socket.create_connection(way.dial, timeout=timeout_s))
    except TimeoutError:
        what = f"no answer within {timeout_s:g} s"
    except OSError as error:
        what = (error.strerror or str(error)).lower()
    raise ConnectError(f"{_place(way)}: {what}", hint="Is the host up, sshd running, and are ssh.host and ssh.port in cluster.yml right?")


def _place(way: Way) -> str:
    return f"{way.dial[0]} port {way.dial[1]}"


class _StreamSocket:
    """A dialled stream as paramiko wants its socket: a read that ran out of its short timeout is no end of the stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._closed = False  # paramiko looks at it

    def send(self, data: bytes) -> int:
        self._stream.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._stream.recv(size)

    def settimeout(self, timeout_s: float | None) -> None:
        """The stream keeps the deadline of its dial."""

    def close(self) -> None:
        self._closed = True
        self._stream.close()


def _as_host(way: Way) -> Host:
    """A hop as something to log in to; its address is never used."""
    key = way.keys[0] if way.keys else None
    return Host(
        name=f"bastion {way.host}",
        address=IPv4Address(0),
        roles=frozenset(),
        ssh=Ssh(user=way.user, host=way.host, port=way.port, key=key),
    )
