"""The certificate that a server really shows, seen from a host: a TLS handshake over a connection which the host dials."""

from __future__ import annotations

import ssl
import time
from typing import Any

from kbootstrap.errors import CommandError
from kbootstrap.remote.connection import Connection, Stream


def served_certificate(connection: Connection, address: str, port: int, *, server_name: str | None = None, timeout_s: float = 5.0) -> bytes:
    """The server's own certificate as DER. Nothing is verified here: the caller compares it with what should be served.

    A handshake that fails later (the server wants a client certificate) does not matter. Raises CommandError: not listening, no TLS, no answer.
    """
    stream = connection.dial(address, port, timeout_s=timeout_s)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    try:
        problem = _shake_hands(tls, incoming, outgoing, stream, until=time.monotonic() + timeout_s)
        chain = _chain(tls)
    finally:
        stream.close()
    if not chain:
        raise CommandError(f"{address} port {port}: no TLS certificate ({problem})", host=connection.host)
    return chain[0]


def _shake_hands(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, stream: Stream, *, until: float) -> str:
    """Why it did not come to an end, empty if it did."""
    while time.monotonic() < until:
        try:
            tls.do_handshake()
            return ""
        except ssl.SSLWantReadError:
            problem = _exchange(incoming, outgoing, stream)
            if problem:
                return problem
        except ssl.SSLError as error:
            return (error.reason or str(error)).lower().replace("_", " ")
    return "the handshake took too long"


def _exchange(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, stream: Stream) -> str:
    try:
        if data := outgoing.read():
            stream.sendall(data)
        answer = stream.recv(65536)
    except (CommandError, OSError) as error:
        return str(error)
    incoming.write(answer)
    return "" if answer else "the server closed the connection"


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """What the peer sent, readable before the handshake ends, unlike getpeercert(). Public since Python 3.13, there as bytes."""
    public: Any = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return list(public() or [])
    inner: Any = tls._sslobj  # type: ignore[attr-defined]
    return [certificate.public_bytes(2) for certificate in inner.get_unverified_chain() or []]  # 2: _ssl.ENCODING_DER
