"""The Kubernetes API as a client meets it, straight from this machine: what its port shows, and whom it takes a credential for."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from kbootstrap.errors import ConnectError
from kbootstrap.model.pki import KeyPair

_PATH = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_QUESTION = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
HTTPS = 443


class UntrustedError(ConnectError):
    """The server did not prove itself; no credential was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API said: the HTTP status, and as whom it knows the caller ("" where it does not say)."""

    status: int
    user: str = ""


def served(url: str, *, timeout_s: float = 5.0) -> bytes:
    """The certificate that the port of *url* shows, PEM; nothing is verified and no credential is sent. ConnectError: unreachable, or no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = _place(url)
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
            shown = tls.getpeercert(binary_form=True)
    except OSError as error:
        raise ConnectError(f"{host} port {port}: {error.strerror or error}") from error
    return ssl.DER_cert_to_PEM_cert(shown or b"").encode()


def whoami(url: str, *, ca_pem: bytes, pair: KeyPair, token: str, timeout_s: float = 5.0) -> Answer:
    """Ask as *pair* or as *token*, after the server proved itself by *ca_pem*. UntrustedError when it did not, ConnectError when it
    does not answer."""
    host, port = _place(url)
    try:
        context = ssl.create_default_context(cadata=ca_pem.decode())
        if pair.cert_pem:
            with _as_file(pair.combined) as path:
                context.load_cert_chain(path)
        connection = HTTPSConnection(host, port, context=context, timeout=timeout_s)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
            connection.request("POST", _PATH, _QUESTION, headers)
            response = connection.getresponse()
            body = response.read(1 << 20)
    except ssl.SSLCertVerificationError as error:
        raise UntrustedError(error.verify_message) from error
    except (OSError, HTTPException, ValueError) as error:
        raise ConnectError(f"{host} port {port}: {getattr(error, 'strerror', '') or error}") from error
    return Answer(status=response.status, user=_name(body))


def _name(body: bytes) -> str:
    try:
        return str(json.loads(body)["status"]["userInfo"]["username"])
    except (ValueError, KeyError, TypeError):
        return ""


def _place(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or HTTPS
    except ValueError as error:
        raise ConnectError(f"{url} is no URL: {error}") from error
    if parts.scheme != "https" or not host:
        raise ConnectError(f"{url} is no https:// URL")
    return host, port


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads a key from a file only: from one in memory, where there is such a thing."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("client"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:  # 0600
            file.write(content)
            file.flush()
            yield file.name
