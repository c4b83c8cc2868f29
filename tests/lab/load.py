"""A client of the API that goes through a host's own endpoint, twenty idempotent requests a second, and counts what it loses.

A request is lost unless it is answered with success, at once or after one retry; it is retried only where its connection was closed before any
byte of an answer. A refused connection, an answer cut off, a status that is no success, or a certificate that does not verify is a loss at once.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kbootstrap.catalog import ports
from kbootstrap.errors import CommandError, KbError
from kbootstrap.remote.connection import Connection, Stream

RATE_PER_S = 20
CLIENTS = 10  # each its own connection: what hangs for one does not slow down the others
FRESH = 5  # every so many requests a client makes a new connection
ANSWER_S = 30.0
SERVER_NAME = "kubernetes"
GONE = (http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError, BrokenPipeError, ConnectionResetError)


class Closed(Exception):
    """The connection ended before any byte of an answer."""


@dataclass(slots=True, kw_only=True)
class Load:
    """What was asked and what came of it. *lost*: why, and when (seconds since the epoch)."""

    made: int = 0
    retried: int = 0
    slowest_s: float = 0.0
    lost: list[tuple[float, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.made} requests, {self.retried} retried, {len(self.lost)} lost, slowest {self.slowest_s:.2f} s"


class _Tls:
    """TLS over a stream that a host dialled; what ``http.client`` takes for a socket."""

    def __init__(self, stream: Stream, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=SERVER_NAME)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Any, *arguments: Any) -> Any:
        while True:
            try:
                done = step(*arguments)
                self._flush()
                return done
            except ssl.SSLWantReadError:
                self._flush()
                data = self._stream.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._stream.sendall(data)

    def read_into(self, buffer: Any) -> int:
        try:
            return int(self._until_done(self._tls.read, len(buffer), buffer))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def sendall(self, data: bytes) -> None:
        self._until_done(self._tls.write, data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._stream.close()


class _Reader(io.RawIOBase):
    """What is said on a connection; an answer closes it at its end, the connection stays."""

    def __init__(self, tls: _Tls) -> None:
        self._tls = tls

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._tls.read_into(buffer)


class _Client:
    """One client with one connection; its credentials are read from the operator's kubeconfig whenever it makes a new one."""

    def __init__(self, connection: Connection, admin_conf: Path, number: int, port: int) -> None:
        self._connection = connection
        self._port = port
        self._admin_conf = admin_conf
        self._number = number
        self._turn = 0
        self._tls: _Tls | None = None

    def ask(self, load: Load) -> None:
        """One request and, where that is allowed, its retry."""
        self._turn += 1
        if self._turn % FRESH == 0:
            self.leave()
        began = time.time()
        try:
            try:
                self._once()
            except Closed:
                load.retried += 1
                self.leave()
                self._once()
        except (Closed, KbError, OSError, ValueError, http.client.HTTPException) as error:
            load.lost.append((began, f"{type(error).__name__}: {error}"[:300]))
            self.leave()
        load.made += 1
        load.slowest_s = max(load.slowest_s, time.time() - began)

    def _once(self) -> None:
        method, path, body = self._request()
        head = f"{method} {path} HTTP/1.1\r\nHost: {SERVER_NAME}\r\nContent-Type: application/apply-patch+yaml\r\nContent-Length: {len(body)}\r\n\r\n"
        stream = self._connection.dial("127.0.0.1", self._port, timeout_s=ANSWER_S) if self._tls is None else None
        try:
            if stream is not None:
                self._tls = _Tls(stream, self._context())
            assert self._tls is not None
            self._tls.sendall(head.encode() + body)
            answer = http.client.HTTPResponse(self._tls, method=method)  # type: ignore[arg-type]  # all that it needs of a socket is makefile
            answer.begin()
        except GONE as error:
            raise Closed(f"closed: {error}") from error
        except CommandError as error:  # nothing can be sent any more, or nothing came for long
            if "no answer" in error.message:
                raise
            raise Closed(error.message) from error
        said = answer.read()
        if answer.status not in (200, 201):
            raise ValueError(f"{method} {answer.status} {said[:200]!r}")
        if answer.will_close:
            self.leave()

    def _request(self) -> tuple[str, str, bytes]:
        """Reading and writing by turns; a server-side apply is idempotent, and makes the object where there is none."""
        name, folder = f"load-{self._number}", "/api/v1/namespaces/default/configmaps"
        if self._turn % 2:
            document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"turn": str(self._turn)}}
            return "PATCH", f"{folder}/{name}?fieldManager=load&force=true", json.dumps(document).encode()
        return "GET", f"{folder}/{name}", b""

    def _context(self) -> ssl.SSLContext:
        document = yaml.safe_load(self._admin_conf.read_text())
        user, cluster = document["users"][0]["user"], document["clusters"][0]["cluster"]
        pems = [base64.b64decode(user[key]) for key in ("client-certificate-data", "client-key-data")]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join(pems))
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def leave(self) -> None:
        if self._tls is not None:
            self._tls.close()
            self._tls = None


@contextmanager
def loading(connection: Connection, admin_conf: Path, *, port: int = ports.API.number) -> Iterator[Load]:
    """Requests through the endpoint of *connection*'s host (or what else listens on its loopback's *port*) as long as the block lasts; the counts are
    complete once it is left."""
    load, stop = Load(), threading.Event()
    pause_s = CLIENTS / RATE_PER_S
    began = time.monotonic()

    def work(number: int) -> None:
        client, due = _Client(connection, admin_conf, number, port), began + pause_s * number / CLIENTS
        while not stop.wait(max(0.0, due - time.monotonic())):
            client.ask(load)
            due += pause_s
        client.leave()

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=2 * ANSWER_S)
