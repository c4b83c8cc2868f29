"""Hosts on the command line: several words are one wish, and nothing happens without a yes."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from kbootstrap.errors import UsageError
from kbootstrap.tasks import collection
from kbootstrap.tasks._node_asking import agreed, wanted
from kbootstrap.tasks._program import CommandLine
from kbootstrap.tasks.cluster import CHANGES


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("node.remove m4 m5 --yes", "node.remove --names m4,m5 --yes"),
        ("node.remove m4,m5", "node.remove --names m4,m5"),
        ("node.reboot --all", "node.reboot --all"),
        ("node.drain --names w1", "node.drain --names w1"),
        ("cluster.plan node", "cluster.plan node"),
    ],
)
def test_names_are_one_wish(typed: str, meant: str) -> None:
    program = CommandLine(collection())
    program.normalize_argv(["inv", *typed.split()])
    assert program.argv == ["inv", *meant.split()]


def test_a_command_line_as_a_wish() -> None:
    asked = wanted("w1, w2,w1", deadline=5, force=True)
    assert (asked.names, asked.deadline_s, asked.force) == (("w1", "w2"), 5, True)
    with pytest.raises(UsageError, match="want seconds"):
        wanted("w1", deadline=0)


def test_without_a_terminal_nobody_agrees(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    nobody = agreed("Remove?", yes=False)
    assert not nobody(["m4: its node is deleted"])
    with pytest.raises(Exit) as ended:
        nobody.or_exit()
    assert ended.value.code == CHANGES
    said = capsys.readouterr()
    assert said.out == "m4: its node is deleted\n"
    assert said.err == "there is no terminal to ask on. Add --yes.\nNothing was changed.\n"
    yes = agreed("Remove?", yes=True, quiet=True)
    assert yes(["x"])
    yes.or_exit()
    assert capsys.readouterr().out == ""


def test_a_no_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("kbootstrap.tasks._node_asking.ask", lambda question: "n")
    no = agreed("Remove?", yes=False)
    assert not no([])
    with pytest.raises(Exit) as ended:
        no.or_exit()
    assert ended.value.code == CHANGES
