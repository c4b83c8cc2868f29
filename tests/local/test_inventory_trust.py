"""``inventory.trust`` against real sshds on loopback: what is shown, recorded, kept and refused."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.errors import ConnectError
from kbootstrap.remote import keyscan, ssh
from kbootstrap.remote.sshconfig import Way
from kbootstrap.tasks import inventory as tasks

ALL = ("ed25519", "ecdsa", "rsa")
MakeSshd = Callable[..., Any]
Captured = pytest.CaptureFixture[str]


def fingerprint(sshd: Any, kind: str) -> str:
    shown = subprocess.run(["ssh-keygen", "-lf", f"{sshd.root}/host_{kind}.pub"], capture_output=True, text=True, check=True).stdout
    return shown.split()[1]


def recorded(sshd: Any, *kinds: str) -> str:
    return "".join(f"[127.0.0.1]:{sshd.port} {sshd.public(kind)}\n" for kind in kinds)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_agent: None) -> Path:
    """``inventory/lab`` below an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KB_CLUSTER", raising=False)
    path = tmp_path / "inventory" / "lab"
    path.mkdir(parents=True)
    return path


def describe(folder: Path, **doors: str) -> None:
    """One master m1, the others workers; *doors* are their ssh settings."""
    hosts = [f"{name}: {{address: 10.0.0.{index}, ssh: {{{door}}}}}" for index, (name, door) in enumerate(doors.items(), 11)]
    lines = [
        "cluster: lab",
        'kubernetes: "1.36.3"',
        "hosts:",
        "  masters:",
        f"    {hosts[0]}",
        "  workers:",
        *(f"    {host}" for host in hosts[1:] or ["m1: {}"]),
    ]
    (folder / "cluster.yml").write_text("\n".join(lines) + "\n")


def door(sshd: Any, **more: str) -> str:
    options = {"host": "127.0.0.1", "port": str(sshd.port), "key": str(sshd.key), **more}
    return ", ".join(f"{key}: {value}" for key, value in options.items())


def test_new_keys_are_shown_recorded_and_then_enough_to_log_in(folder: Path, make_sshd: MakeSshd, capsys: Captured) -> None:
    sshd = make_sshd(host_keys=ALL)
    describe(folder, m1=door(sshd))
    tasks.trust(Context(), yes=True)
    shown = capsys.readouterr().out.splitlines()
    for line, (kind, name) in zip(shown, {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}.items(), strict=False):
        assert line.split() == ["+", "m1", f"[127.0.0.1]:{sshd.port}", name, fingerprint(sshd, kind)]
    assert shown[3:] == ["recorded in inventory/lab/known_hosts"]
    assert (folder / "known_hosts").read_text() == recorded(sshd, *ALL)
    host = inventory.load(folder / "cluster.yml").host("m1")
    with ssh.connect(host, known_hosts=folder / "known_hosts") as connection:
        assert list(connection.run("echo in").lines()) == [b"in"]


def test_a_second_run_changes_nothing(folder: Path, sshd: Any, capsys: Captured) -> None:
    describe(folder, m1=door(sshd))
    tasks.trust(Context(), yes=True)
    before = (folder / "known_hosts").stat()
    capsys.readouterr()
    tasks.trust(Context())
    after = (folder / "known_hosts").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (before.st_ino, before.st_mtime_ns, before.st_ctime_ns), "read, not written"
    assert capsys.readouterr().out.split()[:2] == ["=", "m1"]


def test_off_a_terminal_nothing_is_recorded_without_yes(folder: Path, sshd: Any, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(folder, m1=door(sshd))
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(Exit) as caught:
            tasks.trust(Context())
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert fingerprint(sshd, "ed25519") in shown.out
    assert shown.err == "error: 1 new host key, and nobody to ask\n  Compare the fingerprints, then add --yes.\n"
    assert not (folder / "known_hosts").exists()


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 2), ("y", 2), ("", 2)])
def test_on_a_terminal_it_asks(answer: str, code: int, folder: Path, sshd: Any) -> None:
    describe(folder, m1=door(sshd))
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=pipe, stderr=pipe, env=environment, text=True) as process:
        os.write(ours, f"{answer}\n".encode())
        out, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, err
    assert "Record the keys marked with +? [yes/no]" in out
    assert (folder / "known_hosts").exists() == (code == 0)


PROGRAM = """
import sys
from invoke.context import Context
from invoke.exceptions import Exit
from kbootstrap.tasks import inventory
try:
    inventory.trust(Context())
except Exit as end:
    sys.exit(end.code)
"""


def test_lines_that_were_there_stay(folder: Path, make_sshd: MakeSshd) -> None:
    old, new = make_sshd(), make_sshd()
    describe(folder, m1=door(old), w1=door(new))
    path = folder / "known_hosts"
    path.write_text(recorded(old, "ed25519"))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    hashed = path.read_text()
    assert hashed.startswith("|1|")
    kept = f"# ours\n\n{hashed}@cert-authority *.example.org {new.public('ed25519')}\n@revoked * ssh-ed25519 AAAA\nsomething else".encode() + b" \xff"
    path.write_bytes(kept)
    tasks.trust(Context(), yes=True)
    assert path.read_bytes() == kept + f"\n{recorded(new, 'ed25519')}".encode()


def test_a_changed_key_is_always_refused_and_others_are_still_recorded(folder: Path, make_sshd: MakeSshd, capsys: Captured) -> None:
    changed, other = make_sshd(), make_sshd()
    describe(folder, m1=door(changed), w1=door(other))
    path = folder / "known_hosts"
    path.write_text(f"# first line\n[127.0.0.1]:{changed.port} {other.public('ed25519')}\n")
    before = path.read_text()
    with pytest.raises(Exit) as caught:
        tasks.trust(Context(), yes=True)
    assert caught.value.code == 3
    assert capsys.readouterr().err == (
        "error: 1 host is not trusted\n"
        f"  m1  THE HOST KEY OF [127.0.0.1]:{changed.port} HAS CHANGED. Recorded in inventory/lab/known_hosts: "
        f"ssh-ed25519 {fingerprint(other, 'ed25519')} (line 2); the host shows: ssh-ed25519 {fingerprint(changed, 'ed25519')}. "
        "Someone may be in between. If the host was reinstalled, remove line 2 of inventory/lab/known_hosts and run this again.\n"
    )
    assert path.read_text() == before + recorded(other, "ed25519")


def test_a_host_that_lost_the_recorded_type_has_changed(folder: Path, make_sshd: MakeSshd, capsys: Captured) -> None:
    sshd, other = make_sshd(), make_sshd(host_keys=("rsa",))
    describe(folder, m1=door(sshd))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {other.public('rsa')}\n")
    with pytest.raises(Exit) as caught:
        tasks.trust(Context(), yes=True)
    assert caught.value.code == 3
    assert "HAS CHANGED" in capsys.readouterr().err


def test_a_host_with_more_types_than_recorded_is_known(folder: Path, make_sshd: MakeSshd) -> None:
    sshd = make_sshd(host_keys=ALL)
    describe(folder, m1=door(sshd))
    (folder / "known_hosts").write_text(recorded(sshd, "rsa"))
    tasks.trust(Context())
    assert (folder / "known_hosts").read_text() == recorded(sshd, "rsa")


def test_a_revoked_key_is_refused(folder: Path, sshd: Any, capsys: Captured) -> None:
    describe(folder, m1=door(sshd))
    (folder / "known_hosts").write_text(f"@revoked * {sshd.public('ed25519')}\n")
    with pytest.raises(Exit) as caught:
        tasks.trust(Context(), yes=True)
    assert caught.value.code == 3
    assert "lists as revoked: ssh-ed25519 SHA256:" in capsys.readouterr().err


def test_a_bastion_is_trusted_first_and_then_gone_through(folder: Path, make_sshd: MakeSshd, capsys: Captured) -> None:
    bastion, behind = make_sshd(), make_sshd(host_keys=ALL)
    describe(folder, m1=door(behind, bastion=f"{{{door(bastion)}}}"))
    tasks.trust(Context(), yes=True)
    assert (folder / "known_hosts").read_text() == recorded(bastion, "ed25519") + recorded(behind, *ALL)
    assert [line.split("  ")[1] for line in capsys.readouterr().out.splitlines() if line[0] == "+"] == ["bastion 127.0.0.1", "m1", "m1", "m1"]
    assert "Accepted publickey for root" in bastion.log.read_text()
    assert "Accepted publickey" not in behind.log.read_text()  # its keys are looked at, nobody logs in


def test_hosts_behind_a_bastion_that_changed_are_not_asked(folder: Path, make_sshd: MakeSshd, capsys: Captured) -> None:
    bastion, behind = make_sshd(), make_sshd()
    describe(folder, m1=door(behind, bastion=f"{{{door(bastion)}}}"))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {behind.public('ed25519')}\n")
    with pytest.raises(Exit) as caught:
        tasks.trust(Context(), yes=True)
    assert caught.value.code == 3
    assert "error: 2 hosts are not trusted" in capsys.readouterr().err
    assert "Connection from" not in behind.log.read_text()


def test_an_unreachable_host_is_named_and_the_others_are_recorded(folder: Path, sshd: Any, capsys: Captured) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        describe(folder, m1=door(sshd), w1=f"host: 127.0.0.1, port: {port}")
        with pytest.raises(Exit) as caught:
            tasks.trust(Context(), yes=True)
    assert caught.value.code == 3
    assert f"  w1  127.0.0.1 port {port}: connection refused. Is the host up, sshd running" in capsys.readouterr().err
    assert (folder / "known_hosts").read_text() == recorded(sshd, "ed25519")


@pytest.mark.parametrize(("greeting", "message"), [(b"", "no SSH key exchange"), (b"HTTP/1.0 400 Bad Request\r\n\r\n", "no SSH key exchange")])
def test_something_that_is_no_ssh_server(greeting: bytes, message: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def answer() -> None:
            peer, _ = server.accept()
            held.append(peer)
            peer.sendall(greeting)
            if greeting:
                peer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=answer)
        thread.start()
        way = Way(host="127.0.0.1", port=server.getsockname()[1], user="root", dial=server.getsockname(), keys=())
        with pytest.raises(ConnectError, match=message) as caught:
            keyscan.host_keys(way, known_hosts=tmp_path / "none", timeout_s=1.0)
        thread.join()
        for peer in held:
            peer.close()
    assert re.search(r"Is that an SSH server\?", caught.value.hint)
