"""What a host can reach, and which certificate is served there, seen from the host itself."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kbootstrap.errors import CommandError
from kbootstrap.remote import ssh
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.local import LocalConnection
from kbootstrap.remote.tls import served_certificate


@pytest.fixture(params=["ssh", "local"])
def connection(request: pytest.FixtureRequest, no_agent: None) -> Iterator[Connection]:
    if request.param == "local":
        with LocalConnection("m1") as local:
            yield local
        return
    sshd = request.getfixturevalue("sshd")
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as opened:
        yield opened


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def serve(listener: socket.socket, wrap: Any = None) -> int:
    """Answer each connection with what it sent, upper case; through *wrap* (TLS) if given."""

    def loop() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with suppress(OSError), closing(wrap(sock) if wrap else sock) as stream:
                while data := stream.recv(65536):
                    stream.sendall(data.upper())

    threading.Thread(target=loop, daemon=True).start()
    return int(listener.getsockname()[1])


def test_a_stream_carries_bytes(connection: Connection, listener: socket.socket) -> None:
    stream = connection.dial("127.0.0.1", serve(listener))
    stream.sendall(b"hello \0")
    assert stream.recv(100) == b"HELLO \0"
    stream.close()


def test_refused(connection: Connection, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(CommandError, match=f"m1: 127.0.0.1 port {port}: connection refused"):
        connection.dial("127.0.0.1", port)


def test_no_answer(connection: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        with pytest.raises(CommandError, match=r"no answer within 1 s|timed out"):
            connection.dial("127.0.0.1", full.getsockname()[1], timeout_s=1)


def test_silence_after_the_dial(connection: Connection, listener: socket.socket) -> None:
    stream = connection.dial("127.0.0.1", listener.getsockname()[1], timeout_s=0.5)
    with pytest.raises(CommandError, match="no answer"):
        stream.recv(1)


def test_a_failed_dial_leaves_the_connection_whole(connection: Connection, listener: socket.socket) -> None:
    for _ in range(20):
        with pytest.raises(CommandError):
            connection.dial("127.0.0.1", 1)
    assert list(connection.run("echo whole").lines()) == [b"whole"]


def test_forwarding_forbidden(make_sshd: Any, no_agent: None) -> None:
    sshd = make_sshd(options=("AllowTcpForwarding no",))
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as opened, pytest.raises(CommandError, match="forbids") as caught:
        opened.dial("127.0.0.1", sshd.port)
    assert "AllowTcpForwarding" in caught.value.hint


def certificate(root: Path) -> tuple[Path, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "served")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=7)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now - datetime.timedelta(days=2))  # expired: what is served is told all the same
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = root / "served.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path, made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("wants_client_certificate", [False, True])
def test_served_certificate(
    connection: Connection, listener: socket.socket, tmp_path: Path, version: ssl.TLSVersion, wants_client_certificate: bool
) -> None:
    pem, der = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.minimum_version = context.maximum_version = version
    if wants_client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pem)
    port = serve(listener, lambda sock: context.wrap_socket(sock, server_side=True))
    assert served_certificate(connection, "127.0.0.1", port, server_name="served") == der


def test_no_tls_there(connection: Connection, listener: socket.socket) -> None:
    with pytest.raises(CommandError, match=r"m1: 127.0.0.1 port \d+: no TLS certificate \(.+\)"):
        served_certificate(connection, "127.0.0.1", serve(listener))


def test_a_tls_server_that_says_nothing(connection: Connection, listener: socket.socket) -> None:
    with pytest.raises(CommandError, match=r"no TLS certificate \(.*no answer"):
        served_certificate(connection, "127.0.0.1", listener.getsockname()[1], timeout_s=0.5)
