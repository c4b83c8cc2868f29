"""Secrets go, and what explains stays."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from kbootstrap.plan.redact import GONE, redacted

KEY = base64.b64encode(random.Random(1).randbytes(32)).decode()  # noqa: S311  it stands for a secret
URL_KEY = base64.urlsafe_b64encode(b"\xfb\xef\xff" + random.Random(2).randbytes(29)).decode().rstrip("=")  # noqa: S311
SLASH_KEY = base64.b64encode(b"\xff" + random.Random(3).randbytes(31)).decode()  # noqa: S311
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
        ("proxy http://bob:hunter2:3@proxy:3128/", "hunter2:3"),
        ("fetch https://ghp16C7e42F292c6912E7@git.example/x.git", "ghp16C7e42F292c6912E7"),
        (r'msg="applied {\"password\":\"hunter2\"}" ok', "hunter2"),
        (r'msg="{\\\"token\\\":\\\"hunter2\\\"}"', "hunter2"),
        ('{"password":"hunter2, cut off', "cut off"),
        ('"password":"a\\"hunter2"', "hunter2"),
        ("kubelet --token abcdef --v=2", "abcdef"),
        ('kubelet --sudo-password "two words"', "two words"),
        ('"registry.example":{"auth":"dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        ("auth: dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("secretKey: hunter2", "hunter2"),
        ("secret_key=hunter2", "hunter2"),
        ("pwd=hunter2", "hunter2"),
        ("password: a hunter2", "hunter2"),
        (f"it is {URL_KEY}", URL_KEY),
        (f"it is {SLASH_KEY}", SLASH_KEY),
        (f"secret: {SLASH_KEY}", SLASH_KEY),
        (f"MACHINE={KEY}", KEY),
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
        "Flag --bootstrap-token has been deprecated, will be removed",
        "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory",
        "secret: /etc/kubernetes/encryption.yaml cannot be read",
        "auth: no such user",
        f"pulled registry.k8s.io/pause@sha256:{hashlib.sha256(b'x').hexdigest()}",
        f"fingerprint {hashlib.sha256(b'x').hexdigest().upper()}",
        "ED25519 key fingerprint is SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "/var/lib/kbootstrap/autopsies/20261121T234545Z-cluster/Report",
        "lab-20261121T234545Z-6568bd51-8664-40be-8ecb-4186f47b149c",
        "run-containerd-io.containerd.runtime.v2.task-k8s.io-0123456789abcdef-rootfs.mount: Succeeded",
        "ssh://root@m1:22 refused",
        "nodes \"w1\" is forbidden: User \"system:node:web7\" cannot get resource",
    ],
)  # fmt: skip
def test_what_explains_stays(text: str) -> None:
    assert redacted(text) == text
