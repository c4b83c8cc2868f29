"""What networks do to a connection in the middle of a transfer: key exchanges, silence, resets. In namespaces of the test's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.remote import ssh
from kbootstrap.remote.transport import _Packetizer

MB = 1_000_000


@pytest.mark.parametrize("who", ["server", "client"])
def test_new_keys_in_the_middle_of_transfers(make_sshd: Any, no_agent: None, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    sshd = make_sshd(options=("RekeyLimit 2M",) if who == "server" else ())
    if who == "client":
        monkeypatch.setattr(_Packetizer, "REKEY_BYTES", 2 * MB)
    data = os.urandom(20 * MB) + b"."  # lines() cannot tell a last newline from none
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as connection:
        running = connection.run("sha256sum", payload=[data])
        assert next(running.lines()).split()[0].decode() == hashlib.sha256(data).hexdigest()
        running = connection.run("cat", payload=[data])  # both directions at once
        assert hashlib.sha256(b"\n".join(running.lines())).digest() == hashlib.sha256(data).digest()  # the difference itself fills a screen
        assert running.finish().exit_code == 0


SCENE = """
import ipaddress, os, subprocess, sys, time
from pathlib import Path
import kbootstrap.remote.transport as transport
from kbootstrap.errors import KbError
from kbootstrap.model.host import Host, Role, Ssh
transport.SILENT_DEAD_S, transport.KEEPALIVE_S = 2, 1
from kbootstrap.remote import ssh
ssh.KEEPALIVE_S = 1
port, key, known, config, rule, direction = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5], sys.argv[6]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", config])
host = Host(name="m1", address=ipaddress.IPv4Address("127.0.0.1"), roles=frozenset({Role.MASTER}),
            ssh=Ssh(user="root", host="127.0.0.1", port=port, key=key))
try:
    for _ in range(100):
        try:
            connection = ssh.connect(host, known_hosts=known, ssh_config=None)
            break
        except KbError:
            time.sleep(0.05)
    if rule:
        subprocess.run(["nft", "-f", "-"], input=rule.encode(), check=True)
    start = time.monotonic()
    try:
        program = "wc -c" if direction == "up" else "cat >/dev/null; head -c 20000000 /dev/zero; sleep 1000"
        running = connection.run(program, payload=(bytes(1000000) for _ in range(20 if direction == "up" else 0)), deadline_s=60)
        print(sum(len(line) for line in running.lines()), "bytes came")
    except KbError as error:
        print(type(error).__name__, error)
    print("seconds", round(time.monotonic() - start), file=sys.stderr)
    start = time.monotonic()
    try:
        ssh.connect(host, known_hosts=known, ssh_config=None, timeout_s=2)
        print("connected")
    except KbError as error:
        print(type(error).__name__, error)
    connection.close()
finally:
    server.kill()
"""


def scene(sshd: Any, rule: str, direction: str) -> list[str]:
    """What the client says when *rule* (nft) begins to work while bytes go *direction*."""
    sshd.stop()
    argv = [
        "unshare",
        "--net",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
        sys.executable,
        "-c",
        SCENE,
        str(sshd.port),
        str(sshd.key),
        str(sshd.known_hosts),
        f"{sshd.root}/sshd_config",
    ]
    argv += [rule.replace("PORT", str(sshd.port)), direction]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


pytestmark_nft = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("nft", "unshare", "ip"))), reason="needs root, nft, unshare and ip for a namespace of its own"
)
TABLE = "table inet kbtest {\nchain out {\ntype filter hook output priority 0\n%s\n}\n}\n"
LOST = "ConnectError m1: the connection was lost"


@pytestmark_nft
@pytest.mark.parametrize(
    ("what", "direction"),
    [
        ("tcp dport PORT quota over 5 mbytes drop", "up"),
        ("tcp sport PORT quota over 5 mbytes drop", "down"),
        ("tcp dport PORT drop; tcp sport PORT drop", "down"),
    ],
)
def test_a_connection_that_falls_silent_is_given_up(sshd: Any, no_agent: None, what: str, direction: str) -> None:
    first, second = scene(sshd, TABLE % what, direction)
    assert first.startswith(LOST)
    assert second.startswith(f"ConnectError m1: 127.0.0.1 port {sshd.port}: ")


@pytestmark_nft
def test_a_connection_that_is_reset(sshd: Any, no_agent: None) -> None:
    first, second = scene(sshd, TABLE % "tcp dport PORT quota over 5 mbytes reject with tcp reset", "up")
    assert first.startswith(LOST)
    assert second.startswith(f"ConnectError m1: 127.0.0.1 port {sshd.port}: ")


@pytestmark_nft
def test_without_a_fault_the_scene_works(sshd: Any, no_agent: None, tmp_path: Path) -> None:
    assert scene(sshd, "", "up") == ["8 bytes came", "connected"]
