"""Raw HTTP over a dialled connection, against real servers on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kbootstrap.errors import CommandError
from kbootstrap.remote import http
from kbootstrap.remote.local import LocalConnection


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"you asked {self.path}".encode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running.server_port
        running.shutdown()


@contextmanager
def saying(answer: bytes | None) -> Iterator[int]:
    """A server that says *answer* to whatever it is asked; nothing at all when None."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(4096)
                if answer is None:
                    peer.recv(1)  # until the client goes
                else:
                    peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def get(port: int, target: str = "/", timeout_s: float = 5.0) -> str:
    with LocalConnection(host="here") as connection:
        return http.get(connection, "127.0.0.1", port, target, timeout_s=timeout_s)


def test_the_body_of_an_answer(server: int) -> None:
    assert get(server, "/dial?host=a%26b") == "you asked /dial?host=a%26b"


def test_another_status_is_an_error(server: int) -> None:
    with pytest.raises(CommandError, match=rf"127\.0\.0\.1:{server}: HTTP/1\.0 404 Not Found"):
        get(server, "/missing")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_what_is_no_http_is_an_error(answer: bytes) -> None:
    with saying(answer) as port, pytest.raises(CommandError, match="no HTTP answer"):
        get(port)


def test_silence_is_an_error_within_the_deadline() -> None:
    with saying(None) as port, pytest.raises(CommandError, match=rf"127\.0\.0\.1:{port}"):
        get(port, timeout_s=0.3)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(CommandError, match=str(port)):
        get(port)
