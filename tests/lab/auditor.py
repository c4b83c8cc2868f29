"""What an auditor does on a host, with nothing but a shell and a network client: read, search, knock at doors."""

from __future__ import annotations

import base64
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from kbootstrap.catalog import paths
from kbootstrap.model.host import Host
from kbootstrap.pki import locked
from kbootstrap.remote.connection import Connection, Stream

T = TypeVar("T")

_FOLDERS: Final = f"{paths.UNITS} {paths.KUBERNETES} /etc/cni {paths.ETCD_DATA} {paths.KUBELET_CONFIG}"
_COMMANDS: Final = "for file in /proc/[0-9]*/cmdline; do tr '\\0' '\\t' <$file 2>/dev/null; echo; done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a host shows: the process list, path → (mode, owner), daemon → its configuration."""

    commands: tuple[tuple[str, ...], ...]
    files: Mapping[str, tuple[int, str]]
    configurations: Mapping[str, Any]

    def flags(self, daemon: str) -> dict[str, str]:
        (command,) = [command for command in self.commands if command[0].rpartition("/")[2] == daemon]
        pairs = [argument[2:].partition("=") for argument in command[1:] if argument.startswith("--")]
        return {name: value if sign else "true" for name, sign, value in pairs}

    def value(self, daemon: str, name: str) -> str | None:
        """*name*: a flag; after a bar the key of the configuration, which counts when there is no flag."""
        flag, _, key = (part.strip() for part in name.partition("|"))
        found: Any = self.flags(daemon).get(flag)
        if found is None and key:
            found = self.configurations[daemon]
            for part in key.split("."):
                found = found.get(part) if found is not None else None
        if isinstance(found, bool):
            return str(found).lower()
        return None if found is None else ",".join(map(str, found)) if isinstance(found, list) else str(found)


_CONDITIONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "unset": lambda value, wanted: False,
    "set": lambda value, wanted: bool(value),
    "is": lambda value, wanted: value == wanted,
    "not": lambda value, wanted: value != wanted,
    "has": lambda value, wanted: wanted in value.split(","),
    "lacks": lambda value, wanted: wanted not in value.split(","),
    "from": lambda value, wanted: set(value.split(",")) <= set(wanted.split(",")),
    "least": lambda value, wanted: int(value) >= int(wanted),
}


def met(condition: str, value: str | None) -> bool:
    """Whether *value* (None: not there) is as ``tests/cases/hardening.yml`` says."""
    alternatives = [part.partition(" ") for part in condition.split(" or ")]
    return any(word == "unset" if value is None else _CONDITIONS[word](value, wanted) for word, _, wanted in alternatives)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret that a failing test does not print."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """One host and a way to it."""

    host: Host
    connection: Connection

    def ask(self, program: str, payload: bytes = b"") -> str:
        """What *program* writes, with *payload* as its input; its exit code is its own affair."""
        with closing(self.connection.run(program, payload=[payload] if payload else (), deadline_s=60)) as running:
            return b"\n".join(running.lines()).decode(errors="replace")

    def look(self) -> Seen:
        commands = self.ask(_COMMANDS).splitlines()
        files = [line.split(" ", 2) for line in self.ask(f"find {_FOLDERS} ! -type l -printf '%m %u:%g %p\\n' 2>/dev/null").splitlines()]
        configs = {"kubelet": paths.KUBELET_CONFIG, "kube-proxy": paths.PROXY_CONFIG}
        return Seen(
            commands=tuple(tuple(line.rstrip("\t").split("\t")) for line in commands if line),
            files={path: (int(mode, 8), owner) for mode, owner, path in files},
            configurations={daemon: yaml.safe_load(self.ask(f"cat {path}")) for daemon, path in configs.items()},
        )

    def files_with(self, secrets: Iterable[Sealed], places: str) -> set[str]:
        """The files at *places* that hold any of *secrets*, in any of their forms."""
        needles = b"\n".join(sorted({form for secret in secrets for form in forms(secret.content)}))
        return set(self.ask(f"grep -rlaFs -D skip -f - {places}", needles).splitlines())

    def listening(self) -> set[tuple[bool, int]]:
        """(on loopback only, port) of each TCP socket that waits for connections."""
        rows = [line.split() for line in self.ask("cat /proc/net/tcp /proc/net/tcp6").splitlines()]
        sockets = [row[1].partition(":") for row in rows if row[3] == "0A"]
        return {(address.endswith("7F"), int(port, 16)) for address, _, port in sockets}

    def knock(self, address: str, port: int, context: ssl.SSLContext, request: bytes = b"") -> bytes:
        """The answer to *request* over TLS. Raises SSLError when there is no understanding, CommandError when nobody listens."""
        with closing(self.connection.dial(address, port)) as stream:
            return _Tls(stream=stream, context=context).converse(request)

    def status(self, address: str, port: int, target: str, context: ssl.SSLContext | None) -> int:
        """The HTTP status that ``GET`` *target* gets, without TLS if there is no *context*."""
        request = f"GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode()
        if context is not None:
            return _status(self.knock(address, port, context, request))
        with closing(self.connection.dial(address, port)) as stream:
            stream.sendall(request)
            return _status(stream.recv(65536))


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tls:
    """A TLS client over a stream that is no socket."""

    stream: Stream
    context: ssl.SSLContext
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    def converse(self, request: bytes) -> bytes:
        session = self.context.wrap_bio(self.incoming, self.outgoing)
        self._until_done(session.do_handshake)
        if not request:
            return b""
        session.write(request)
        return self._until_done(lambda: session.read(65536))

    def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self.stream.recv(65536):
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if data := self.outgoing.read():
            self.stream.sendall(data)


def client(pem: Path | None = None, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = "") -> ssl.SSLContext:
    """A client that trusts everybody and shows *pem* (key and certificate); the weakest that it speaks is up to the library's oldest."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    if ciphers:
        context.set_ciphers(ciphers)
    if pem is not None:
        context.load_cert_chain(pem)
    return context


def core(key_pem: bytes) -> bytes:
    """The number that makes the key secret; every encoding of the key holds these bytes."""
    numbers = locked.open_(key_pem).private_numbers()
    number = numbers.private_value if isinstance(numbers, ec.EllipticCurvePrivateNumbers) else numbers.p
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def forms(secret: bytes) -> Iterator[bytes]:
    """How a file may hold *secret*: bare, in hex, in base64 (PEM too), in base64 of base64 (a PEM in a kubeconfig or a Secret). Halves, so that a
    line's end within one leaves the other whole; without the bytes that a list of lines cannot hold."""
    for half in (secret[: len(secret) // 2], secret[len(secret) // 2 :]):
        bare = max((part for piece in half.split(b"\n") for part in piece.split(b"\0")), key=len)
        if len(bare) >= 8:
            yield bare
        yield half.hex().encode()
        for once in _base64(half):
            yield once
            yield from _base64(once)


def _base64(data: bytes) -> Iterator[bytes]:
    """The characters that *data* becomes wherever it begins: at the first, second or third byte of a group."""
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + data)
        yield whole[-(-shift * 8 // 6) : (shift + len(data)) * 8 // 6]
