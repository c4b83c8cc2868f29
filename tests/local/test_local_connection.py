"""The same programs without a network: the dialogue with sudo (a stand-in for it in PATH), and fused programs in each shell of this machine."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.errors import CommandError, PrivilegeError
from kbootstrap.remote import bootstrap, fuse
from kbootstrap.remote.bootstrap import Privilege
from kbootstrap.remote.connection import Running
from kbootstrap.remote.fuse import Begun, Ended, Section
from kbootstrap.remote.local import LocalConnection

SUDO = r"""#!/bin/sh
ask=0 prompt=
while [ $# -gt 0 ]; do
    case $1 in
        -S) ask=1;; -p) prompt=$2; shift;; -n|-k|-H) ;; --) shift; break;;
    esac
    shift
done
echo "We trust you have received the usual lecture."
%s
exec "$@"
"""
ASKS = """tries=0
while :; do
    [ $ask = 1 ] || { echo "sudo: a password is required" >&2; exit 1; }
    printf %s "$prompt" >&2
    read -r given || exit 1
    [ "$given" = "open sesame" ] && break
    tries=$((tries + 1))
    [ $tries -lt 3 ] || { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
    echo "Sorry, try again." >&2
done"""


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(behaviour: str) -> None:
        path = tmp_path / "bin" / "sudo"
        path.parent.mkdir()
        path.write_text(SUDO.replace("%s\nexec", behaviour + "\nexec"))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return put


def connection(password: str | None) -> LocalConnection:
    privilege = Privilege.SUDO if password is None else Privilege.SUDO_ASKS
    return LocalConnection("m1", user="ann", privilege=privilege, password=None if password is None else lambda: password)


def run(opened: LocalConnection, program: str, **more: Any) -> list[bytes]:
    running = opened.run(program, **more)
    lines = list(running.lines())
    assert running.finish().exit_code == 0
    return lines


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_a_sudo_that_asks_nothing_gives_nothing_to_the_program(sudo: Any, password: str | None) -> None:
    sudo("")
    assert run(connection(password), "cat", payload=[b"all of it"]) == [b"all of it"]


def test_a_sudo_that_asks(sudo: Any) -> None:
    sudo(ASKS)
    opened = connection("open sesame")
    for _ in range(3):
        running = opened.run("cat; echo note >&2", payload=[b"all of it"])
        assert list(running.lines()) == [b"all of it"]
        assert running.finish().stderr == "note\n"  # neither the prompt nor what sudo said


def test_a_sudo_that_asks_and_nobody_answers(sudo: Any) -> None:
    sudo(ASKS)
    with pytest.raises(PrivilegeError, match="m1: user ann needs a sudo password"):
        connection(None).run("cat", payload=[b"x"]).finish()


def test_a_wrong_password_is_tried_once(sudo: Any) -> None:
    sudo(ASKS)
    with pytest.raises(PrivilegeError, match="m1: sudo refuses the password of user ann") as caught:
        connection("open barley").run("cat")
    assert "barley" not in str(caught.value) + caught.value.hint


def test_a_sudo_that_hangs(sudo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sudo("sleep 1000")
    monkeypatch.setattr("kbootstrap.remote.program.SUDO_ANSWER_S", 0.3)
    with pytest.raises(PrivilegeError, match="sudo did not answer"):
        connection("open sesame").run("cat")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("ann is not in the sudoers file.", "user ann is not in sudoers"),
        ("sudo: sorry, you must have a tty to run sudo", "sudo wants a terminal for user ann"),
        ("Sorry, user ann is not allowed to execute '/bin/sh' as root on m1.", "sudoers does not let user ann run sh as root"),
        ("something new", "user ann gets no root shell; the host said: something new"),
    ],
)
@pytest.mark.parametrize("password", [None, "open sesame"])
def test_what_sudo_says_is_explained(sudo: Any, says: str, message: str, password: str | None) -> None:
    sudo(f'echo "{says}" >&2; exit 1')
    with pytest.raises(PrivilegeError, match=message) as caught:
        connection(password).run("id").finish()
    assert caught.value.hint


def test_no_sudo_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("env", "sh", "head"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(PrivilegeError, match="sudo is not installed"):
        connection(None).run("id").finish()


# --- fused programs, by each shell

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


@pytest.fixture(params=SHELLS)
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalConnection]:
    """This machine, with ``sh`` being the shell under test and /run/kbootstrap a directory of the test."""
    (tmp_path / "sh").mkdir()
    (tmp_path / "sh" / "sh").symlink_to(str(shutil.which(request.param)))
    monkeypatch.setattr(bootstrap, "PATH", f"{tmp_path}/sh:{bootstrap.PATH}")
    monkeypatch.setenv("PATH", f"{tmp_path}/sh:{os.environ['PATH']}")
    monkeypatch.setattr(paths, "RUN", str(tmp_path / "run"))
    with LocalConnection("m1") as opened:
        yield opened


def read(here: LocalConnection, *sections: tuple[str, str], preamble: str = "") -> list[Section]:
    running = here.run(fuse.read_program(sections, "MARK", preamble))
    found = list(fuse.split(running.lines(), "MARK"))
    assert running.finish().exit_code == 0
    return found


def change(here: LocalConnection, *changes: tuple[str, str, float], payload: bytes = b"", **more: Any) -> tuple[list[Begun | Ended], int]:
    running = here.run(fuse.change_program(changes, "MARK", **more), payload=[payload])
    return list(fuse.follow(running.lines(), "MARK")), running.finish().exit_code


@pytest.mark.parametrize("output", [b"", b"x", b"x\n", b"\n", b"\n\nx\n\n", b"\0\xff\xfe\r\n", b"MARK\nend\nMAR", bytes(range(256)) * 3])
def test_sections_come_back_byte_for_byte(here: LocalConnection, tmp_path: Path, output: bytes) -> None:
    (tmp_path / "data").write_bytes(output)
    text = f"cat {tmp_path}/data"
    found = read(here, ("a", text), ("b", text), ("c", "true"))
    assert [section.output for section in found] == [output, output, b""]


def test_sections_do_not_touch_each_other(here: LocalConnection) -> None:
    found = read(
        here,
        ("m1:/etc/a file", "x=1; cd /; exit 3"),
        ("it's", "echo ${x:-unset}; set -e; false; echo never"),
        ("broken", "if then ("),
        ("stdin", "cat"),
        ("$(id)", 'greet "it\'s me"'),
        preamble='greet() { echo "hello $1"; }',
    )
    assert [(s.id, s.exit_code) for s in found] == [("m1:/etc/a file", 3), ("it's", 1), ("broken", found[2].exit_code), ("stdin", 0), ("$(id)", 0)]
    assert found[2].exit_code != 0
    assert [s.output for s in found] == [b"", b"unset\n", b"", b"", b"hello it's me\n"]


def test_a_thousand_sections(here: LocalConnection) -> None:
    found = read(here, *((f"s{n}", f"echo {n}") for n in range(1000)))
    assert [s.output for s in found] == [b"%d\n" % n for n in range(1000)]


def test_changes_in_order_with_the_payload_for_the_first(here: LocalConnection, tmp_path: Path) -> None:
    events, code = change(
        here,
        ("unpack", f"cat >{tmp_path}/got", 10),
        ("m1:/etc/it's", "say done; say more >&2", 10),
        payload=b"pay\0load",
        preamble='say() { echo "$@"; }',
    )
    assert events == [
        Begun(id="unpack"),
        Ended(id="unpack", exit_code=0, output=b""),
        Begun(id="m1:/etc/it's"),
        Ended(id="m1:/etc/it's", exit_code=0, output=b"done\nmore\n"),
    ]
    assert code == 0
    assert (tmp_path / "got").read_bytes() == b"pay\0load"
    assert list((tmp_path / "run").iterdir()) == []


def test_the_first_failure_stops(here: LocalConnection, tmp_path: Path) -> None:
    events, code = change(here, ("a", "echo because >&2; exit 9", 10), ("b", f"touch {tmp_path}/never", 10))
    assert events == [Begun(id="a"), Ended(id="a", exit_code=9, output=b"because\n")]
    assert code == 1
    assert not (tmp_path / "never").exists()


def test_keep_going(here: LocalConnection) -> None:
    events, code = change(here, ("a", "exit 9", 10), ("b", "if (", 10), ("c", "echo c", 10), keep_going=True)
    ended = [event for event in events if isinstance(event, Ended)]
    assert [event.id for event in ended] == ["a", "b", "c"]
    assert [event.exit_code == 0 for event in ended] == [False, False, True]
    assert code == 1


def test_each_change_has_its_own_deadline(here: LocalConnection) -> None:
    events, code = change(here, ("slow", "echo before; (sleep 1000)", 1), ("next", "true", 10), keep_going=True)
    assert events[1] == Ended(id="slow", exit_code=124, output=b"before\n")
    assert isinstance(events[1], Ended)
    assert events[1].timed_out
    assert events[3] == Ended(id="next", exit_code=0, output=b"")
    assert code == 1


def test_only_the_end_of_a_flood_is_kept(here: LocalConnection) -> None:
    events, _ = change(here, ("flood", "head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; seq 2000; printf end", 30))
    assert isinstance(events[1], Ended)
    assert len(events[1].output) == 4096
    assert events[1].output.endswith(b"1999\n2000\nend")


def test_a_daemon_left_by_a_change_holds_nothing_up(here: LocalConnection) -> None:
    start = time.monotonic()
    events, code = change(here, ("daemon", "sleep 20 & echo started", 10), ("next", "echo next", 10))
    assert [e.output for e in events if isinstance(e, Ended)] == [b"started\n", b"next\n"]
    assert code == 0
    assert time.monotonic() - start < 15


def test_a_program_cut_off_says_what_was_under_way(here: LocalConnection, tmp_path: Path) -> None:
    running = here.run(fuse.change_program([("a", "true", 100), ("b", "echo $$; sleep 1000", 100)], "MARK"), deadline_s=1)
    seen: list[Begun | Ended] = []
    with pytest.raises(CommandError, match="not finished"):
        for event in fuse.follow(running.lines(), "MARK"):
            seen.append(event)
    assert seen[-1] == Begun(id="b")


def until_closed(running: Running) -> None:
    with suppress(PrivilegeError):  # closed before it began
        running.finish()


def test_what_is_closed_takes_no_word_from_the_next() -> None:
    """A closed pipe's descriptors get new owners at once; a thread still reading there took their output once, and the owner waited for ever."""
    for _ in range(200):
        first = LocalConnection("m1")
        running = first.run("exec sleep 60")
        reader = threading.Thread(target=until_closed, args=(running,))
        reader.start()
        first.close()
        with LocalConnection("m1") as second:
            assert list(second.run("echo here", deadline_s=20.0).lines()) == [b"here"]
        reader.join(20)
        assert not reader.is_alive()
