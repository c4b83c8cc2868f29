"""The certificates that a host's ports really serve, by handshakes that its own sshd dials."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence

from kbootstrap.errors import KbError
from kbootstrap.plan.serving import Socket
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.tls import served_certificate

TIMEOUT_S = 10.0

Served = Mapping[Socket, bytes | KbError]  # PEM, or why there is none


def served(connection: Connection, sockets: Sequence[Socket]) -> Served:
    """One handshake with each of *sockets*. Raises nothing that a server could cause."""
    return {socket: _shown(connection, socket) for socket in sockets}


def _shown(connection: Connection, socket: Socket) -> bytes | KbError:
    try:
        der = served_certificate(connection, socket.address, socket.port, timeout_s=TIMEOUT_S)
    except KbError as error:
        return error
    return ssl.DER_cert_to_PEM_cert(der).encode()
