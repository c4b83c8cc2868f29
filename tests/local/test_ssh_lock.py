"""The lock on a host: one holder, named, and given back by the kernel whatever happens to the holder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.errors import LockError
from kbootstrap.remote import lock, ssh
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.local import LocalConnection
from kbootstrap.remote.lock import HostLock, Owner, hold
from tests.processes import gone

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the lock lies in /run")
ME = Owner(who="ann@desk", pid=4242, since="2026-01-02T03:04:05+00:00", command="cluster.up")


@pytest.fixture(params=["ssh", "local"])
def connections(request: pytest.FixtureRequest, no_agent: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Connection]]:
    """Two ways to one host, with a lock of the test's own."""
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(lock, "OWNER", str(tmp_path / "lock.owner"))
    if request.param == "local":
        opened: list[Connection] = [LocalConnection("m1"), LocalConnection("m1")]
    else:
        sshd = request.getfixturevalue("sshd")
        opened = [ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) for _ in range(2)]
    yield opened
    for connection in opened:
        connection.close()


def check_for(seconds: float, held: HostLock) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        held.check()
        time.sleep(0.02)


def test_the_second_is_told_who_holds_it(connections: list[Connection]) -> None:
    with hold(connections[0], ME) as held:
        with pytest.raises(LockError) as caught:
            hold(connections[1], Owner.here("cluster.down"))
        held.check()
    text = "m1: another run works on this host: ann@desk (process 4242, `cluster.up`, since 2026-01-02T03:04:05+00:00)"
    assert str(caught.value) == text
    assert "--take-lock" in caught.value.hint


def asked(connection: Connection) -> Owner | None:
    running = connection.run(lock.probe())
    said = b"".join(running.lines())
    assert running.finish().exit_code == 0
    return lock.holder(said)


def test_who_only_asks_is_told_who_holds_it_and_holds_nobody_up(connections: list[Connection], tmp_path: Path) -> None:
    assert asked(connections[1]) is None
    with hold(connections[0], ME) as held:
        assert asked(connections[1]) == ME
        held.check()
        kept = (tmp_path / "lock.owner").read_text()
    assert asked(connections[1]) is None
    (tmp_path / "lock.owner").write_text(kept)  # as a host that lost its power leaves it
    assert asked(connections[1]) is None


def test_released_and_taken_again(connections: list[Connection], tmp_path: Path) -> None:
    for connection in [*connections, *connections]:
        with hold(connection, ME):
            assert "ann@desk" in (tmp_path / "lock.owner").read_text()
        assert not (tmp_path / "lock.owner").exists()


def test_closing_the_connection_gives_it_back(connections: list[Connection]) -> None:
    held = hold(connections[0], ME)
    connections[0].close()
    until = time.monotonic() + 20
    while True:
        try:
            hold(connections[1], ME).release()
            break
        except LockError:
            assert time.monotonic() < until, "never given back"
            time.sleep(0.05)
    with pytest.raises(LockError, match="m1: the lock on this host was lost"):
        check_for(20, held)


def test_taking_it_is_explicit_and_the_holder_notices(connections: list[Connection]) -> None:
    held = hold(connections[0], ME)
    with hold(connections[1], Owner.here("cluster.up"), take=True) as taken:
        with pytest.raises(LockError, match="m1: the lock on this host was lost"):
            check_for(20, held)
        taken.check()
        with pytest.raises(LockError, match="another run works on this host: "):
            hold(connections[0], ME)
    held.release()


def test_taking_a_free_lock_is_taking(connections: list[Connection]) -> None:
    with hold(connections[0], ME, take=True) as held:
        held.check()


def test_an_owner_that_nobody_can_read(connections: list[Connection], tmp_path: Path) -> None:
    with hold(connections[0], ME):
        (tmp_path / "lock.owner").write_text("garbage\n")
        with pytest.raises(LockError, match="it did not say who it is"):
            hold(connections[1], ME)


def test_a_directory_that_cannot_be_written(connections: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOCK", "/proc/nowhere/lock")
    with pytest.raises(LockError, match=r"cannot be taken: .*nowhere"):
        hold(connections[0], ME)


def test_a_host_that_says_nothing(connections: list[Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "ANSWER_S", 0.5)
    monkeypatch.setattr(lock, "_PROGRAM", "sleep 60 # {run}{lock}{owner}{take}{who}{taken}")
    with pytest.raises(LockError, match=r"no answer within 0 s when it was asked for its lock"):
        hold(connections[0], ME)


HOLDER = """
import ipaddress, json, sys, time
from pathlib import Path
from kbootstrap.model.host import Host, Role, Ssh
from kbootstrap.remote import lock, ssh
port, key, known, where = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
lock.LOCK, lock.OWNER = f"{where}/lock", f"{where}/lock.owner"
host = Host(name="m1", address=ipaddress.IPv4Address("127.0.0.1"), roles=frozenset({Role.MASTER}),
            ssh=Ssh(user="root", host="127.0.0.1", port=port, key=key))
connection = ssh.connect(host, known_hosts=known, ssh_config=None)
held = lock.hold(connection, lock.Owner.here("cluster.up"))
print("held", flush=True)
time.sleep(1000)
"""


def test_a_killed_client_holds_nothing(sshd: Any, no_agent: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOCK", str(tmp_path / "lock"))
    monkeypatch.setattr(lock, "OWNER", str(tmp_path / "lock.owner"))
    argv = [sys.executable, "-c", HOLDER, str(sshd.port), str(sshd.key), str(sshd.known_hosts), str(tmp_path)]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert client.stdout is not None
    assert client.stdout.readline() == b"held\n"
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as connection:
        with pytest.raises(LockError, match=f"process {client.pid}, `cluster.up`"):
            hold(connection, ME)
        shell = int((tmp_path / "lock.owner").read_text().split()[0])
        client.kill()
        client.wait()
        assert gone(shell), "the holder's shell lives on"
        with hold(connection, ME) as held:
            held.check()
            assert json.loads((tmp_path / "lock.owner").read_text().partition(" ")[2])["who"] == "ann@desk"
