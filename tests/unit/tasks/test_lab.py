"""What a lab's tasks refuse before they make anything, and what ``lab.ssh`` runs."""

from __future__ import annotations

import sys

import pytest

from kbootstrap import lab
from kbootstrap.errors import UsageError
from kbootstrap.tasks import _lab, collection
from kbootstrap.tasks._program import CommandLine


@pytest.mark.parametrize("argv", ["demo --masters 2", "lab.up --masters 2", "demo --masters=4 --workers 1"])
def test_an_even_number_of_masters_is_refused_before_anything(argv: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made: list[object] = []
    monkeypatch.setattr(lab, "up", lambda **wanted: made.append(wanted))
    with pytest.raises(SystemExit) as caught:
        CommandLine(collection()).run(["kb", *argv.split()])
    assert (caught.value.code, made) == (2, [])
    said = capsys.readouterr().err
    assert "given; etcd needs an odd number (1, 3, 5): quorum of" in said
    assert said.endswith("\n  Say --masters 1, 3 or 5.\n")


@pytest.mark.parametrize(
    ("command", "argv", "wanted"),
    [
        ("", ["inv", "lab.ssh", "m1"], []),
        ("", ["inv", "lab.ssh", "m1", "--"], []),
        ("", ["inv", "lab.ssh", "m1", "--", "uname", "-a"], ["--", "uname", "-a"]),
        ("", ["inv", "lab.ssh", "m1", "--", "ls", "--", "-x"], ["--", "ls", "--", "-x"]),
        ("uname -a", ["inv", "lab.ssh", "m1", "--command", "uname -a"], ["--", "uname -a"]),
    ],
)
def test_the_command_reaches_ssh(command: str, argv: list[str], wanted: list[str]) -> None:
    assert _lab.remote_command(command, argv) == wanted


def test_two_commands_are_refused() -> None:
    with pytest.raises(UsageError, match="are two"):
        _lab.remote_command("ls", ["inv", "lab.ssh", "m1", "--command", "ls", "--", "id"])


def test_invokes_own_command_line_may_give_help_as_the_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["kb", "lab.ssh", "--host", "--help"])
    with pytest.raises(SystemExit) as caught:
        CommandLine(collection()).run(["kb", "lab.ssh", "--host=-x"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: -x is no host\n  invoke --help lab.ssh\n"
