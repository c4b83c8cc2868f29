"""Programs over a real sshd: what goes in comes out, and every wait ends."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.errors import CommandError, ConnectError
from kbootstrap.remote import bootstrap, doors, ssh
from kbootstrap.remote.ssh import SshConnection
from tests.processes import gone

MB = 1_000_000


@pytest.fixture
def connection(sshd: Any, no_agent: None) -> Iterator[SshConnection]:
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as opened:
        yield opened


def output(connection: SshConnection, program: str, **more: Any) -> list[bytes]:
    running = connection.run(program, **more)
    lines = list(running.lines())
    finished = running.finish()
    assert finished.exit_code == 0, finished
    return lines


def test_program_output_exit_code_and_stderr(connection: SshConnection) -> None:
    running = connection.run("cat; id -u; umask; echo $LC_ALL; echo oops >&2; exit 7", payload=[b"a\0b\n"])
    assert list(running.lines()) == [b"a\0b", b"0", b"0077", b"C"]
    finished = running.finish()
    assert (finished.exit_code, finished.stderr) == (7, "oops\n")


def test_every_byte_survives_both_ways(connection: SshConnection) -> None:
    data = os.urandom(3 * MB) + b"\n\n\r\n\0" + bytes(range(256))
    running = connection.run("cat", payload=[data[:5], memoryview(data)[5:MB], b"", data[MB:]])
    assert b"\n".join(running.lines()) == data
    assert running.finish().exit_code == 0


@pytest.mark.parametrize("text", ["printf 'a\\nb'", "cat <<'E'\na\nb\nE", "# ü ✓\nprintf 'a\\nb\\n' # a comment at the end", "echo a; (echo b)\n\n"])
def test_programs_of_any_shape(connection: SshConnection, text: str) -> None:
    assert output(connection, text) == [b"a", b"b"]


def test_sixty_megabytes_up(connection: SshConnection, record_property: Any) -> None:
    data = os.urandom(60 * MB)
    start, cpu = time.monotonic(), time.process_time()
    assert output(connection, "sha256sum", payload=[data])[0].split()[0].decode() == hashlib.sha256(data).hexdigest()
    cpu_s = time.process_time() - cpu
    record_property("seconds", round(time.monotonic() - start, 2))
    record_property("cpu_seconds", round(cpu_s, 2))
    assert cpu_s < 5  # it is 0.1; with bytes instead of a memoryview it would be 22


def test_a_program_larger_than_any_pipe(connection: SshConnection) -> None:
    text = "\n".join(f"x{n}={'y' * 1000}" for n in range(3000)) + "\necho ${#x2999}"
    assert output(connection, text) == [b"1000"]


def test_stderr_flood_keeps_the_end_and_stops_nothing(connection: SshConnection) -> None:
    running = connection.run("head -c 20000000 /dev/zero | tr '\\0' x >&2; echo last >&2; echo done")
    assert list(running.lines()) == [b"done"]
    stderr = running.finish().stderr
    assert len(stderr) == 64 * 1024
    assert stderr.endswith("last\n")


def test_finish_without_reading_drains(connection: SshConnection) -> None:
    assert connection.run("head -c 20000000 /dev/zero; exit 3").finish().exit_code == 3


def test_a_payload_that_nobody_reads(connection: SshConnection) -> None:
    running = connection.run("echo no thanks; exit 4", payload=[os.urandom(10 * MB)])
    assert list(running.lines()) == [b"no thanks"]
    assert running.finish().exit_code == 4


def test_an_error_in_the_payload_is_raised_to_the_reader(connection: SshConnection) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise FileNotFoundError("blob")

    with pytest.raises(FileNotFoundError, match="blob"):
        list(connection.run("cat >/dev/null; sleep 100", payload=broken()).lines())


def test_deadline(connection: SshConnection) -> None:
    running = connection.run("echo $$; echo waiting for godot >&2; sleep 1000", deadline_s=1)
    lines = running.lines()
    pid = int(next(lines))
    with pytest.raises(CommandError, match=r"m1: not finished after 1 s; stopped. Last message: waiting for godot"):
        list(lines)
    assert gone(pid)
    assert output(connection, "echo still there") == [b"still there"]


def test_deadline_holds_against_a_flood(connection: SshConnection) -> None:
    with pytest.raises(CommandError, match="not finished after 1 s"):
        for _ in connection.run("yes", deadline_s=1).lines():
            pass


def test_idle(connection: SshConnection) -> None:
    with pytest.raises(CommandError, match="silent for 3 s"):
        list(connection.run("echo a; sleep 1000", deadline_s=100, idle_s=3).lines())  # longer than a heartbeat, which must not count


def test_closing_ends_everything_on_the_host(connection: SshConnection) -> None:
    running = connection.run("sh -c 'echo $$; timeout 1000 sleep 1000'")
    pid = int(next(running.lines()))
    running.close()
    assert gone(pid)


def test_a_daemon_left_behind_does_not_hold_the_end_up(connection: SshConnection) -> None:
    running = connection.run("sleep 1000 & echo $!")
    [pid] = list(running.lines())
    try:
        assert running.finish().exit_code == 0
    finally:
        os.kill(int(pid), signal.SIGKILL)


def test_connection_lost_while_a_program_runs(connection: SshConnection, sshd: Any) -> None:
    running = connection.run("echo $$; sleep 1000")
    lines = running.lines()
    pid = int(next(lines))
    sshd.kill_connections()
    with pytest.raises(ConnectError, match="m1: the connection was lost"):
        list(lines)
    with pytest.raises(ConnectError, match="m1: the connection was lost"):
        connection.run("true")
    assert gone(pid)


def test_connection_lost_in_the_middle_of_an_upload(connection: SshConnection, sshd: Any) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(MB)

    running = connection.run("head -c 5000000 | wc -c; cat >/dev/null", payload=endless())
    lines = running.lines()
    assert next(lines) == b"5000000"
    sshd.kill_connections()
    with pytest.raises(ConnectError, match="the connection was lost"):
        list(lines)


def test_a_program_cut_short_is_not_run(connection: SshConnection, sshd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap.wrap
    monkeypatch.setattr(bootstrap, "wrap", lambda *a, **k: whole(*a, **k)[:-40] + b" " * 40)  # the end never arrived
    with pytest.raises(ConnectError, match="nothing was run"):
        connection.run(f"touch {tmp_path}/ran").finish()
    assert not (tmp_path / "ran").exists()


def test_thirty_quick_runs(connection: SshConnection, record_property: Any) -> None:
    start, cpu = time.monotonic(), time.process_time()
    for number in range(30):
        assert output(connection, f"echo {number}") == [str(number).encode()]
    record_property("milliseconds_each", round((time.monotonic() - start) / 30 * 1000, 1))
    assert time.process_time() - cpu < 3


def test_twenty_at_once_on_one_connection(connection: SshConnection) -> None:
    with ThreadPoolExecutor(20) as threads:
        results = list(threads.map(lambda n: output(connection, f"sleep 0.2; echo {n}"), range(20)))
    assert results == [[str(n).encode()] for n in range(20)]


def test_a_server_with_few_sessions_is_waited_for(tmp_path: Path, no_agent: None, make_sshd: Any) -> None:
    sshd = make_sshd(options=("MaxSessions 2",))
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as connection, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: output(connection, f"sleep 0.1; echo {n}"), range(8)))
    assert results == [[str(n).encode()] for n in range(8)]


def test_a_server_without_room_says_so(no_agent: None, make_sshd: Any) -> None:
    sshd = make_sshd(options=("MaxSessions 1",))
    with ssh.connect(sshd.host(), known_hosts=sshd.known_hosts, ssh_config=None) as connection:
        first = connection.run("echo $$; sleep 1000")
        next(first.lines())
        with pytest.raises(ConnectError, match="sshd opens no further session") as caught:
            connection.run("true", deadline_s=1)
        assert "MaxSessions" in caught.value.hint
        first.close()


def test_many_connections_at_once_in_spite_of_max_startups(no_agent: None, make_sshd: Any) -> None:
    """None is called down although three in four were turned away at first, and soon no more come at once than are let in."""
    sshd = make_sshd(options=("MaxStartups 2:100:3",))

    def enter(number: int) -> list[bytes]:
        with ssh.connect(sshd.host(f"h{number}"), known_hosts=sshd.known_hosts, ssh_config=None, timeout_s=30) as connection:
            return output(connection, f"echo {number}")

    with ThreadPoolExecutor(24) as threads:
        assert list(threads.map(enter, range(24))) == [[str(n).encode()] for n in range(24)]
    assert sshd.log.read_text().count("drop connection") < 3 * 24


def test_one_that_is_turned_away_makes_fewer_knock() -> None:
    door = doors.Door()
    with ExitStack() as turns:
        for _ in range(8):
            turns.enter_context(door.turn())
        door.turned_away()
    with door.turn(), door.turn(), door.turn(), door.turn():
        fifth = threading.Thread(target=lambda: door.turn().__enter__(), daemon=True)
        fifth.start()
        fifth.join(0.05)
        assert fifth.is_alive(), "waits for one of the four"
        for _ in range(5):
            door.let_in()
        fifth.join(10)
        assert not fifth.is_alive()


def test_noise_of_the_login_shell_is_not_output(connection: SshConnection, sshd: Any) -> None:
    (sshd.root / ".bashrc").write_text("echo Welcome to $HOSTNAME; printf 'no newline'\n")
    assert output(connection, "echo mine") == [b"mine"]


def test_close_is_quick_and_idempotent(connection: SshConnection) -> None:
    before = threading.active_count()
    connection.close()
    connection.close()
    until = time.monotonic() + 10
    while threading.active_count() >= before:
        assert time.monotonic() < until, "the transport's thread lives on"
        time.sleep(0.01)
