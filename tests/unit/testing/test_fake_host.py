"""The stand-in speaks the frames that a real host speaks."""

from __future__ import annotations

import pytest

from kbootstrap.errors import CommandError, ConnectError
from kbootstrap.remote import fuse
from kbootstrap.remote.fuse import Begun, Ended, Section
from kbootstrap.remote.lock import Owner, hold
from kbootstrap.testing.fake_host import Answer, FakeHost, changing, reading, when


def test_sections() -> None:
    host = FakeHost(scripts=[reading({"m1:/etc/a b": (3, b"no newline"), "it's": (0, b"x\n")})])
    program = fuse.read_program([("m1:/etc/a b", "true"), ("it's", "true"), ("other", "true")], "MARK")
    assert list(fuse.split(host.run(program).lines(), "MARK")) == [
        Section(id="m1:/etc/a b", exit_code=3, output=b"no newline"),
        Section(id="it's", exit_code=0, output=b"x\n"),
        Section(id="other", exit_code=0, output=b""),
    ]


def test_changes_stop_at_the_first_failure() -> None:
    host = FakeHost(scripts=[changing({"it's b": (9, b"because")})])
    changes = [("a", "echo 'kb_change no 1 '", 5.0), ("it's b", "true", 5.0), ("c", "true", 5.0)]
    running = host.run(fuse.change_program(changes, "MARK"), payload=[b"tar", memoryview(b"ball")])
    events = list(fuse.follow(running.lines(), "MARK"))
    assert events[1:] == [Ended(id="a", exit_code=0, output=b""), Begun(id="it's b"), Ended(id="it's b", exit_code=9, output=b"because")]
    assert running.finish().exit_code == 1
    assert host.payloads == [b"tarball"]


def test_changes_that_keep_going() -> None:
    host = FakeHost(scripts=[changing({"a": (1, b"")})])
    running = host.run(fuse.change_program([("a", "true", 5), ("b", "true", 5)], "MARK", keep_going=True))
    assert [e.id for e in fuse.follow(running.lines(), "MARK") if isinstance(e, Ended)] == ["a", "b"]


def test_scripts_are_asked_in_order_and_silence_is_success() -> None:
    lost = ConnectError("the connection was lost", host="m1")
    host = FakeHost(scripts=[when("reboot", Answer(stdout=b"bye\n", error=lost)), when("id", Answer(stdout=b"0\n"))])
    assert list(host.run("id -u").lines()) == [b"0"]
    assert host.run("unknown").finish().exit_code == 0
    with pytest.raises(ConnectError):
        host.run("reboot").finish()
    assert host.programs == ["id -u", "unknown", "reboot"]


def test_dial() -> None:
    host = FakeHost(listening={("10.0.0.1", 2379): b"hello"})
    assert host.dial("10.0.0.1", 2379).recv(3) == b"hel"
    with pytest.raises(CommandError, match=r"m1: 10.0.0.1 port 2380: connection refused"):
        host.dial("10.0.0.1", 2380)


def test_the_lock_is_free() -> None:
    with hold(FakeHost(), Owner.here("cluster.up")) as held:
        assert held is not None
