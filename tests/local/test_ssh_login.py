"""Getting in: host keys, login keys, hops; and what is said when one of them does not fit."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.errors import AuthError, ConnectError, HostKeyError
from kbootstrap.model.host import Bastion
from kbootstrap.remote import ssh

pytestmark = pytest.mark.usefixtures("no_agent")


def keygen(path: Path, *more: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(path), *more], check=True)
    return path


def enter(sshd: Any, **more: Any) -> ssh.SshConnection:
    options = {"known_hosts": sshd.known_hosts, "ssh_config": None, "timeout_s": 20.0}
    host = more.pop("host", None) or sshd.host(**{k: more.pop(k) for k in ("user", "key", "bastion") if k in more})
    return ssh.connect(host, **{**options, **more})


def works(connection: ssh.SshConnection) -> bool:
    with connection:
        return list(connection.run("echo in").lines()) == [b"in"]


# --- host keys


def test_unknown_key_is_refused_with_its_fingerprint(sshd: Any) -> None:
    sshd.known_hosts.write_text("")
    shown = subprocess.run(["ssh-keygen", "-lf", f"{sshd.root}/host_ed25519.pub"], capture_output=True, text=True, check=True).stdout.split()[1]
    with pytest.raises(HostKeyError) as caught:
        enter(sshd)
    assert str(caught.value) == f"m1: the host key of [127.0.0.1]:{sshd.port} is not known: ssh-ed25519 {shown}"
    assert "invoke inventory.trust" in caught.value.hint


def test_a_missing_known_hosts_knows_nobody(sshd: Any, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="is not known"):
        enter(sshd, known_hosts=tmp_path / "none")


def test_a_key_recorded_for_another_port_does_not_count(sshd: Any) -> None:
    sshd.known_hosts.write_text(f"127.0.0.1 {sshd.public('ed25519')}\n")
    with pytest.raises(HostKeyError, match="is not known"):
        enter(sshd)


def test_changed_key_is_refused_with_both_fingerprints_and_the_line(sshd: Any, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other", "-t", "ed25519")
    public = " ".join(Path(f"{other}.pub").read_text().split()[:2])
    old = subprocess.run(["ssh-keygen", "-lf", str(other)], capture_output=True, text=True, check=True).stdout.split()[1]
    new = subprocess.run(["ssh-keygen", "-lf", f"{sshd.root}/host_ed25519"], capture_output=True, text=True, check=True).stdout.split()[1]
    sshd.known_hosts.write_text(f"# recorded in March\n[127.0.0.1]:{sshd.port} {public}\n")
    with pytest.raises(HostKeyError, match="HAS CHANGED") as caught:
        enter(sshd)
    assert old in str(caught.value)
    assert new in str(caught.value)
    assert f"remove line 2 of {sshd.known_hosts}" in caught.value.hint


def test_nothing_is_sent_to_a_host_that_is_not_known(sshd: Any) -> None:
    sshd.known_hosts.write_text("")
    with pytest.raises(HostKeyError):
        enter(sshd, user="a-user-nobody-should-hear-of")
    assert "a-user-nobody" not in sshd.log.read_text()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_the_recorded_type_is_asked_for(make_sshd: Any, kind: str) -> None:
    sshd = make_sshd(host_keys=("rsa", "ecdsa", "ed25519"))
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.public(kind)}\n")
    assert works(enter(sshd))


def test_a_host_that_shows_only_another_type_has_changed(make_sshd: Any, tmp_path: Path) -> None:
    sshd = make_sshd()
    public = " ".join(Path(f"{keygen(tmp_path / 'old', '-t', 'ecdsa')}.pub").read_text().split()[:2])
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {public}\n")
    with pytest.raises(HostKeyError, match=r"HAS CHANGED.*ecdsa-sha2-nistp256.*the host shows: ssh-ed25519"):
        enter(sshd)


def test_hashed_names(sshd: Any) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    assert works(enter(sshd))


@pytest.mark.parametrize(("principal", "problem"), [("127.0.0.1", ""), ("10.0.0.9", "does not name 127.0.0.1")])
def test_a_host_certificate_of_a_recorded_authority(make_sshd: Any, tmp_path: Path, principal: str, problem: str) -> None:
    sshd = make_sshd()
    authority = keygen(tmp_path / "ca", "-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", "-s", str(authority), "-I", "m1", "-h", "-n", principal, f"{sshd.root}/host_ed25519.pub"], check=True)
    sshd.process.kill()
    sshd.process.wait()
    sshd.options = (f"HostCertificate {sshd.root}/host_ed25519-cert.pub",)
    sshd.log.unlink()
    sshd.start()
    sshd.known_hosts.write_text(f"@cert-authority * {Path(f'{authority}.pub').read_text()}")
    if problem:
        with pytest.raises(HostKeyError, match=problem):
            enter(sshd)
    else:
        assert works(enter(sshd))


# --- login keys


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa",), ("rsa",), ("rsa", "-m", "PEM"), ("ecdsa", "-b", "521")])
def test_key_kinds(sshd: Any, tmp_path: Path, kind: tuple[str, ...]) -> None:
    key = keygen(tmp_path / "key", "-t", *kind)
    (sshd.root / "authorized_keys").write_text(Path(f"{key}.pub").read_text())
    assert works(enter(sshd, key=key))


def test_wrong_key_is_named(sshd: Any, tmp_path: Path) -> None:
    key = keygen(tmp_path / "wrong", "-t", "ed25519")
    with pytest.raises(AuthError) as caught:
        enter(sshd, key=key)
    assert str(caught.value).startswith(f"m1: 127.0.0.1 port {sshd.port} does not let user root in. Tried {key} (ssh-ed25519 SHA256:")
    assert "authorized_keys" in caught.value.hint


def test_no_key_at_all(sshd: Any) -> None:
    host = sshd.host()
    object.__setattr__(host.ssh, "key", None)
    with pytest.raises(AuthError, match=r"Tried no key: none is configured, in the agent, or in ~/.ssh"):
        enter(sshd, host=host)


def test_usual_key_files_are_found(sshd: Any, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    key = keygen(tmp_path / ".ssh" / "id_ed25519", "-t", "ed25519")
    (sshd.root / "authorized_keys").write_text(Path(f"{key}.pub").read_text())
    host = sshd.host()
    object.__setattr__(host.ssh, "key", None)
    assert works(enter(sshd, host=host))


@pytest.mark.parametrize("options", [(), ("-m", "PEM", "-t", "rsa")])
def test_a_locked_key_is_said_to_be_locked(sshd: Any, tmp_path: Path, options: tuple[str, ...]) -> None:
    key = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-N", "secret", "-f", str(key), *options], check=True)
    with pytest.raises(AuthError, match=f"{key} is locked by a passphrase.*ssh-add"):
        enter(sshd, key=key)


@pytest.mark.parametrize("content", [None, "", "not a key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"])
def test_an_unusable_key_file(sshd: Any, tmp_path: Path, content: str | None) -> None:
    key = tmp_path / "bad"
    if content is not None:
        key.write_text(content)
    with pytest.raises(AuthError, match=f"{key} (cannot be read: No such file|is no private key)"):
        enter(sshd, key=key)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    socket_path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while not socket_path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
    yield socket_path
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_the_agent_opens_a_locked_key(sshd: Any, tmp_path: Path, agent: Path, kind: str) -> None:
    key = keygen(tmp_path / "mine", "-t", kind)
    (sshd.root / "authorized_keys").write_text(Path(f"{key}.pub").read_text())
    subprocess.run(["ssh-add", "-q", str(key)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True, capture_output=True)
    assert works(enter(sshd, key=key))


def test_an_agent_full_of_wrong_keys_is_not_tried_for_ever(sshd: Any, tmp_path: Path, agent: Path) -> None:
    for number in range(8):
        key = keygen(tmp_path / f"k{number}", "-t", "ed25519")
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    host = sshd.host()
    object.__setattr__(host.ssh, "key", None)
    with pytest.raises(AuthError, match="MaxAuthTries"):
        enter(sshd, host=host)


def test_a_server_that_wants_more_than_a_key(make_sshd: Any) -> None:
    sshd = make_sshd(options=("AuthenticationMethods publickey,password", "PasswordAuthentication yes"))
    with pytest.raises(AuthError, match="the key was accepted, but the host also wants password"):
        enter(sshd)


# --- nobody there


def test_refused(sshd: Any) -> None:
    host = sshd.host()
    sshd.stop()
    with pytest.raises(ConnectError) as caught:
        enter(sshd, host=host)
    assert str(caught.value) == f"m1: 127.0.0.1 port {sshd.port}: connection refused"


def test_a_listener_that_says_nothing(sshd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = sshd.host()
        object.__setattr__(host.ssh, "port", silent.getsockname()[1])
        start = time.monotonic()
        with pytest.raises(ConnectError, match="connected, but no login within 1 s"):
            enter(sshd, host=host, timeout_s=1)
        assert time.monotonic() - start < 5


def test_a_listener_whose_queue_is_full(sshd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        host = sshd.host()
        object.__setattr__(host.ssh, "port", full.getsockname()[1])
        with pytest.raises(ConnectError, match=r"no answer within 1 s|no login within 1 s"):
            enter(sshd, host=host, timeout_s=1)


def test_a_server_stopped_in_the_middle(sshd: Any) -> None:
    """The kernel accepts, the banner never comes: SIGSTOP is what a host under water looks like."""
    os.kill(sshd.process.pid, 19)
    try:
        with pytest.raises(ConnectError, match="no login within 1 s"):
            enter(sshd, timeout_s=1)
    finally:
        os.kill(sshd.process.pid, 18)


def test_a_web_server(sshd: Any) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = sshd.host()
    object.__setattr__(host.ssh, "port", server.server_port)
    try:
        with pytest.raises(ConnectError, match=r"m1: 127\.0\.0\.1 port \d+: ") as caught:
            enter(sshd, host=host, timeout_s=2)
        assert "SSH server" in caught.value.hint
    finally:
        server.shutdown()
        server.server_close()


def test_a_name_that_does_not_resolve(sshd: Any) -> None:
    host = sshd.host()
    object.__setattr__(host.ssh, "host", "no-such-host.invalid")
    with pytest.raises(ConnectError, match=r"m1: no-such-host.invalid port \d+: name not resolved"):
        enter(sshd, host=host)


def test_a_server_with_only_old_algorithms(make_sshd: Any) -> None:
    sshd = make_sshd(options=("Ciphers 3des-cbc",))
    with pytest.raises(ConnectError, match="no common algorithm"):
        enter(sshd)


# --- hops


def test_through_a_bastion(make_sshd: Any) -> None:
    outer, inner = make_sshd(), make_sshd()
    known = outer.root / "both"
    known.write_text(outer.known_hosts.read_text() + inner.known_hosts.read_text())
    bastion = Bastion(host="127.0.0.1", user="root", port=outer.port, key=outer.key)
    connection = enter(inner, bastion=bastion, known_hosts=known)
    running = connection.run("cat", payload=[bytes(range(256)) * 100_000])
    assert b"\n".join(running.lines()) == bytes(range(256)) * 100_000
    assert works(connection)


def test_the_bastions_key_is_checked_too(make_sshd: Any) -> None:
    outer, inner = make_sshd(), make_sshd()
    bastion = Bastion(host="127.0.0.1", user="root", port=outer.port, key=outer.key)
    with pytest.raises(HostKeyError, match=rf"host key of \[127.0.0.1\]:{outer.port} is not known"):
        enter(inner, bastion=bastion)


def test_a_host_that_the_bastion_cannot_reach(make_sshd: Any) -> None:
    outer, inner = make_sshd(), make_sshd()
    inner.stop()
    bastion = Bastion(host="127.0.0.1", user="root", port=outer.port, key=outer.key)
    with pytest.raises(ConnectError, match=rf"m1: 127.0.0.1 port {inner.port} through the bastion: Connection refused"):
        enter(inner, bastion=bastion, known_hosts=outer.known_hosts)


def test_proxy_jump_and_host_name_of_the_users_config(make_sshd: Any, tmp_path: Path) -> None:
    outer, inner = make_sshd(), make_sshd()
    known = outer.root / "both"
    known.write_text(outer.known_hosts.read_text().replace("127.0.0.1", "gate") + inner.known_hosts.read_text().replace("127.0.0.1", "inside"))
    config = tmp_path / "config"
    config.write_text(
        f"Host gate\n  HostName 127.0.0.1\n  User root\n  Port {outer.port}\n  IdentityFile {outer.key}\n"
        f"Host inside\n  HostName 127.0.0.1\n  ProxyJump gate\n"
    )
    host = inner.host()
    object.__setattr__(host.ssh, "host", "inside")
    assert works(enter(inner, host=host, known_hosts=known, ssh_config=config))
    assert "Accepted publickey for root" in outer.log.read_text()
