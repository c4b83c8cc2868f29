"""``kubeconfig.check`` against a real TLS server that judges credentials as an API server does."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kbootstrap import kubeconfig
from kbootstrap.catalog import names
from kbootstrap.engine.kubeconfig_check import Row, Verdict, check, exit_code
from kbootstrap.model.cluster import KeyType
from kbootstrap.model.pki import KeyPair, Pki, Profile, Usage
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import a_cluster
from tests.local.conftest import free_port

SPEC = a_cluster(1, 0)


@cache
def pki(number: int = 0) -> Pki:
    """Two clusters' PKIs, valid now."""
    wanted = [p for p in profiles(SPEC) if p.name in {"apiserver", "admin"}]
    return issue.complete(Pki(), wanted, now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())[0]


def client(of: Pki, *, now: datetime | None = None, life: timedelta = timedelta(days=1)) -> KeyPair:
    profile = Profile(name="alice", host=None, issuer=names.CLUSTER_CA, common_name="alice", usages=(Usage.CLIENT,))
    return issue.client(of, profile, now=now or clock.now(), life=life, kind=KeyType.ECDSA, entropy=SystemEntropy(), reason="test")[0]


def token(*, hours: float, mark: str = "good") -> str:
    now = clock.epoch_s()
    payload = urlsafe_b64encode(json.dumps({"iat": int(now - 3600), "exp": int(now + hours * 3600)}).encode()).decode().rstrip("=")
    return f"e30.{payload}.{mark}"


class Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        peer: Any = self.connection.getpeercert()
        user = dict(part[0] for part in peer["subject"])["commonName"] if peer else ""
        user = user or ("robot" if self.headers.get("Authorization", "").endswith(".good") else "")
        body = json.dumps({"status": {"userInfo": {"username": user}}}).encode()
        self.send_response(201 if user else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextmanager
def serving(address: str, folder: Path) -> Iterator[int]:
    """The port of an API server at *address*; its certificate is for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pki().trust(names.CLUSTER_CA).decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    pair = folder / "pair.pem"
    pair.write_bytes(pki().pair("m1/apiserver").combined)
    context.load_cert_chain(pair)
    server = ThreadingHTTPServer((address, 0), Api)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving("127.0.0.1", tmp_path_factory.mktemp("api")) as port:
        yield port


def row(url: str, *, ca: Pki | None = None, days: int | None = None, **credential: Any) -> Row:
    text = kubeconfig.build("lab", {"lab": url}, ca_pem=(ca or pki()).trust(names.CLUSTER_CA), user="u", owner="us", **credential)
    (found,) = check(text, {"us"}, SPEC.certificates, days=days)
    return found


def test_what_is_accepted_is_fine_and_says_as_whom(port: int) -> None:
    found = row(f"https://127.0.0.1:{port}", pair=pki().pair("admin"))
    assert (found.verdict, found.detail, exit_code([found])) == (Verdict.OK, "the API knows it as kubernetes-admin", 0)
    found = row(f"https://127.0.0.1:{port}", token=token(hours=3))
    assert (found.verdict, found.detail) == (Verdict.OK, "the API knows it as robot")
    assert found.days_left is not None
    assert 0.1 < found.days_left < 0.126


def test_what_ends_soon_or_has_ended_is_told_apart(port: int) -> None:
    url = f"https://127.0.0.1:{port}"
    assert row(url, pair=client(pki())).verdict is Verdict.OK  # a day is short, and most of it is left
    soon = row(url, pair=client(pki()), days=2)
    late = row(url, pair=client(pki(), now=clock.now() - timedelta(days=2)))
    assert (soon.verdict, late.verdict, exit_code([soon]), exit_code([soon, late])) == (Verdict.EXPIRING, Verdict.EXPIRED, 10, 11)
    assert row(url, token=token(hours=-0.5)).verdict is Verdict.EXPIRED


def test_each_way_to_be_wrong_has_its_name(port: int) -> None:
    admin, url = pki().pair("admin"), f"https://127.0.0.1:{port}"
    unreachable = row(f"https://127.0.0.1:{free_port()}", pair=admin)
    assert (unreachable.verdict, exit_code([unreachable])) == (Verdict.UNREACHABLE, 3)
    foreign = row(url, ca=pki(1), pair=admin)
    assert (foreign.verdict, exit_code([foreign, unreachable])) == (Verdict.FOREIGN_CA, 11)
    assert "the kubeconfig trusts kubernetes-ca" in foreign.detail
    assert row(url, token=token(hours=3, mark="bad")).verdict is Verdict.REJECTED
    assert row(url, token="none").verdict is Verdict.BROKEN  # noqa: S106  no real one
    assert row("http://127.0.0.1:1", pair=admin).verdict is Verdict.UNREACHABLE


def test_a_name_that_the_certificate_lacks_is_said_with_those_that_it_has(tmp_path: Path) -> None:
    with serving("127.0.0.2", tmp_path) as port:
        found = row(f"https://127.0.0.2:{port}", pair=pki().pair("admin"))
    assert found.verdict is Verdict.SAN_MISSING
    assert "is not for 127.0.0.2, but for" in found.detail
    assert "127.0.0.1" in found.detail


def test_a_kubeconfig_without_a_context_of_ours_has_no_rows() -> None:
    assert check("contexts: [{name: theirs, context: {cluster: c, user: u}}]", {"us"}, SPEC.certificates) == ()
    broken = "contexts: [{name: mine, context: {cluster: gone, user: u, extensions: [{name: kbootstrap, extension: {owner: us}}]}}]"
    (found,) = check(broken, {"us"}, SPEC.certificates)
    assert (found.verdict, found.server) == (Verdict.BROKEN, "")
