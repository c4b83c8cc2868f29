"""From invoke's words about a command line to what, what was meant, and the next command."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit, ParseError

from kbootstrap.tasks import _mistakes, collection
from kbootstrap.tasks._program import CommandLine

TASKS = ("cluster.down", "cluster.up", "demo", "inventory.from_vagrant", "lab.up")


def said(text: str) -> tuple[str, str]:
    error = _mistakes.explain(ParseError(text), TASKS)
    assert error.exit_code == 2
    return str(error), error.hint


def test_a_group_shows_what_is_in_it() -> None:
    assert said("No idea what 'cluster' is!") == ("cluster is not a command but a group: cluster.down, cluster.up", "invoke --list cluster")


def test_dashes_and_a_forgotten_group_are_understood() -> None:
    assert said("No idea what 'inventory.from-vagrant' is!")[0].endswith("Did you mean inventory.from_vagrant?")
    assert said("No idea what 'down' is!")[1] == "invoke --help cluster.down"


def test_what_resembles_nothing_gets_the_list() -> None:
    assert said("No idea what 'xyzzy' is!") == ("there is no command xyzzy.", "invoke --list")


def test_other_words_of_invoke_stay() -> None:
    assert said("'x' is ambiguous") == ("'x' is ambiguous", "invoke --list")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("kb cluster.status --jsno", "cluster.status has no option --jsno. Did you mean --json?"),
        ("kb lab.ssh", "lab.ssh needs --host"),
        ("kb lab.up --workers 2 --masters three", "--masters three: want a whole number"),
        ("kb cluster.up --sudo-password-fd=", "--sudo-password-fd : want a whole number"),
        ("kb --list-depth x", "--list-depth x: want a whole number"),
        ("kb --lsit", "there is no option --lsit. Did you mean --list?"),
        ("kb cluster.up -- --cluster x", "cluster.up has no option --."),
        ("kb cluster.up extra", "cluster.up: what is extra? Did you mean --cluster extra?"),
        ("kb cluster.up w1,w2", "cluster.up: what is w1,w2? Did you mean --limit w1,w2?"),
        ("kb certs.renew m1", "certs.renew: what is m1? Did you mean --host m1?"),
        ("kb kubeconfig.user bob", "kubeconfig.user: what is bob? Did you mean --name bob?"),
        ("kb preflight.list x", "preflight.list: what is x?"),
        ("kb certs.renew --limit m1", "certs.renew has no option --limit. Did you mean --host?"),
        ("kb cluster.up --host m1", "cluster.up has no option --host. Did you mean --limit?"),
        ("kb kubeconfig.user --output x", "kubeconfig.user has no option --output. Did you mean --to?"),
        ("kb cluster.upgrade --to 1.36.3 --deadlin 60", "cluster.upgrade has no option --deadlin. Did you mean --deadline?"),
        ("kb cluster.rollback --deadline soon", "--deadline soon: want a whole number"),
        ("kb cluster.status --frobnicate", "cluster.status has no option --frobnicate."),
    ],
)
def test_a_whole_command_line(argv: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        CommandLine(collection()).run(argv.split())
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}\n  invoke --")


@pytest.mark.parametrize("dry", ["--dry", "-R"])
def test_a_dry_run_of_invoke_is_refused_since_it_would_be_none(dry: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        CommandLine(collection()).run(["kb", dry, "preflight.list"])
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: --dry holds back no task; nothing was done\n  What would change: invoke cluster.plan")
    assert said.out == ""


def test_help_tells_no_option_of_shell_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        CommandLine(collection()).run(["kb", "--help"])
    said = capsys.readouterr().out
    assert "--dry" not in said
    assert "--list-depth" in said
    assert "cluster.up" in said


def test_a_namespace_alone_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        CommandLine(collection()).run(["kb", "--list", "ports"])
    assert caught.value.code == Exit().code == 0
    assert "  .check " in capsys.readouterr().out
