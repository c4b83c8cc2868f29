"""A plain HTTP request over a connection which a host dials: no port forwarding, no client on the host."""

from __future__ import annotations

from typing import Final

from kbootstrap.errors import CommandError
from kbootstrap.remote.connection import Connection, Stream

MAX_BYTES: Final = 1 << 20


def get(connection: Connection, address: str, port: int, target: str, *, timeout_s: float = 5.0) -> str:
    """The body that a server at *address*:*port* answers to ``GET`` *target* (path and query, quoted by the caller).

    CommandError: not listening, no answer for *timeout_s*, or another status than 200.
    """
    place = f"{address}:{port}"
    stream = connection.dial(address, port, timeout_s=timeout_s)
    try:
        # 1.0: the server closes when it has said all, and never cuts its answer into chunks
        stream.sendall(f"GET {target} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        answer = _all(stream)
    except OSError as error:
        raise CommandError(f"{place}: {error}", host=connection.host) from None
    except CommandError as error:
        raise CommandError(f"{place}: {error.message}", host=connection.host) from None
    finally:
        stream.close()
    return _body(answer, place, connection.host)


def _all(stream: Stream) -> bytes:
    found = bytearray()
    while (data := stream.recv(65536)) and len(found) < MAX_BYTES:
        found += data
    return bytes(found)


def _body(answer: bytes, place: str, host: str) -> str:
    head, separator, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if not separator or not status.startswith("HTTP/1."):
        raise CommandError(f"{place}: no HTTP answer ({status[:80]!r})", host=host)
    if status.split(" ")[1:2] != ["200"]:
        raise CommandError(f"{place}: {status}", host=host)
    return body.decode("utf-8", "replace")
