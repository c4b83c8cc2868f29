"""A web site on loopback that misbehaves as told."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kbootstrap.catalog.releases import Checksum
from kbootstrap.model.events import Event, Note


@dataclass
class Site:
    """*files*: path → content. *cuts*: path → bytes after which the next answers break off, one entry per answer."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    etag: str = '"one"'
    ranges: bool = True
    token: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)  # path, Range header

    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


@dataclass
class Heard:
    """A listener that remembers."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            site.requests.append((path, self.headers.get("Range", "")))
            if path == "/token":
                self._send(200, b'{"token": "let-me-in"}')
            elif site.token and self.headers.get("Authorization") != f"Bearer {site.token}":
                self._send(401, b"", {"WWW-Authenticate": f'Bearer realm="{site.address}/token",service="test",scope="pull"'})
            elif path not in site.files:
                self._send(404, b"no such file")
            else:
                self._file(path, site.files[path])

        def _file(self, path: str, content: bytes) -> None:
            offset = int(self.headers.get("Range", "bytes=0-")[6:-1])
            resumed = bool(offset) and site.ranges and self.headers.get("If-Range") == site.etag
            headers = {"ETag": site.etag} | ({"Content-Range": f"bytes {offset}-{len(content) - 1}/{len(content)}"} if resumed else {})
            body = content[offset:] if resumed else content
            cuts = site.cuts.get(path, [])
            self._send(206 if resumed else 200, body, headers, cut=cuts.pop(0) if cuts else None)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """The site's requests are in ``Site.requests``."""

    return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    """A site on loopback that serves what the test puts into it."""
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def sha256(content: bytes) -> Checksum:
    return Checksum("sha256", hashlib.sha256(content).hexdigest())
