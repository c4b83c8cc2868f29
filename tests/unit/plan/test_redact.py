"""Secrets go, and what explains stays."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from kbootstrap.plan.redact import GONE, redacted

KEY = base64.b64encode(random.Random(1).randbytes(32)).decode()  # noqa: S311  it stands for a secret
BODY = "\n".join(base64.b64encode(random.Random(n).randbytes(48)).decode() for n in range(4))  # noqa: S311


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"-----BEGIN EC PRIVATE KEY-----\n{BODY}\n-----END EC PRIVATE KEY-----", BODY.splitlines()[1]),
        (f"-----BEGIN PRIVATE KEY-----\n{BODY}", BODY.splitlines()[3]),
        (f"the journal cut it: {BODY.splitlines()[2]}", BODY.splitlines()[2]),
        (f"client-key-data: {KEY}", KEY),
        (f"      secret: {KEY}", KEY),
        (f'"secret":"{KEY}"', KEY),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("token: abcdef.0123456789abcdef", "0123456789abcdef"),
        ("kubeadm join --token abcdef.0123456789abcdef", "0123456789abcdef"),
        ("eyJhbGciOiJSUzI1NiIs.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl is wrong", "eyJpc3MiOiJrdWJl"),
        ("password=hunter2 for x", "hunter2"),
        ('sudo_password: "two words"', "two words"),
        ("proxy http://bob:hunter2@proxy:3128/", "hunter2"),
    ],
)
def test_a_secret_goes(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted(text)
    assert GONE in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "listen tcp 10.77.0.11:2380: bind: address already in use",
        f"sha256 {hashlib.sha256(b'x').hexdigest()}",
        "open /etc/kubernetes/pki/apiserver-kubelet-client.key: permission denied",
        "--service-account-key-file=/etc/kubernetes/pki/sa.pub --tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
        "x509: certificate has expired or is not yet valid: current time 2027-01-01T00:00:00Z is after 2026-12-01T00:00:00Z",
        "failed to pull image registry.k8s.io/pause:3.10",
        "nodes \"w1\" is forbidden: User \"system:node:web7\" cannot get resource",
    ],
)  # fmt: skip
def test_what_explains_stays(text: str) -> None:
    assert redacted(text) == text
