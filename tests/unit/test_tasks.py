"""The command line as a whole: every option explained, none hidden behind one of invoke's own, nothing heavy loaded to list the tasks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.program import Program

from kbootstrap.errors import ConnectError, InventoryError, Problem
from kbootstrap.tasks import _request, collection
from kbootstrap.tasks._common import BUG, INTERRUPTED, reported

HEAVY = ("paramiko", "cryptography", "jinja2", "pydantic", "httpx", "rich")


TASKS = {name: collection()[name] for name in collection().task_names}
ARGUMENTS = {name: task.get_arguments() for name, task in TASKS.items()}  # once: invoke takes the help texts out of the task
WANTED = {
    "artifacts": {"fetch", "list", "pin"},
    "certs": {
        "backup",
        "check",
        "csr",
        "decrypt_keys",
        "encrypt_keys",
        "ensure",
        "export",
        "install",
        "issued",
        "plan",
        "renew",
        "restore",
        "revoke",
        "rotate",
        "seal",
        "show",
        "unseal",
    },
    "cluster": {"down", "plan", "rollback", "status", "up", "upgrade", "verify"},
    "demo": {"down", "up"},
    "etcd": {"alarms", "defrag", "recover", "restore", "snapshot", "status", "timer"},
    "firewall": {"apply", "plan", "remove", "show"},
    "inventory": {"check", "from_ansible", "from_vagrant", "new", "schema", "show", "trust"},
    "kubeconfig": {"admin", "check", "install", "merge", "remove", "user", "write"},
    "lab": {"down", "ssh", "status", "up"},
    "node": {"drain", "reboot", "remove", "replace", "uncordon"},
    "preflight": {"list", "run"},
    "report": {"html"},
    "role": {"apply", "plan"},
    "secrets": {"rotate", "show"},
}
READING = (
    "artifacts.fetch", "artifacts.list", "certs.check", "certs.issued", "certs.plan", "certs.show",
    "cluster.plan", "cluster.status", "cluster.verify", "etcd.alarms", "etcd.snapshot", "etcd.status", "firewall.plan", "firewall.show",
    "inventory.check", "inventory.show", "kubeconfig.check", "lab.status",
    "preflight.list", "preflight.run", "report.html", "role.plan",
)  # fmt: skip


def test_the_tasks_are_there() -> None:
    assert {f"{part}.{name}" for part, names in WANTED.items() for name in names} <= set(TASKS)


def test_demo_alone_means_all_of_it() -> None:
    assert collection()["demo"] is collection()["demo.up"]


@pytest.mark.parametrize("name", TASKS)
def test_every_option_is_explained(name: str) -> None:
    assert [argument.name for argument in ARGUMENTS[name] if not argument.help] == []
    assert (TASKS[name].__doc__ or "").splitlines()[0].endswith("."), "the first line is what --list shows"


@pytest.mark.parametrize("name", TASKS)
def test_help_says_what_an_option_is_when_nobody_says_it(name: str) -> None:
    set_ = [each for each in ARGUMENTS[name] if type(each.default) in (int, str) and each.default not in ("", -1)]
    assert [each.name for each in set_ if "default" not in (each.help or "")] == []


@pytest.mark.parametrize("name", TASKS)
def test_no_option_hides_one_of_invokes_own(name: str) -> None:
    own = {flag for argument in Program().core_args() for flag in argument.names if len(flag) > 1}
    mine = {flag.replace("_", "-") for argument in ARGUMENTS[name] for flag in argument.names}
    assert mine & own == set()
    assert not [flag for flag in mine if len(flag) == 1], "auto_shortflags=False: a letter would mean another option in another task"


@pytest.mark.parametrize("name", TASKS)
def test_booleans_are_off_by_default(name: str) -> None:
    assert [argument.name for argument in ARGUMENTS[name] if argument.default is True] == []


@pytest.mark.parametrize("name", READING)
def test_reading_tasks_speak_json(name: str) -> None:
    assert "json" in [argument.name for argument in ARGUMENTS[name]]


def test_listing_the_tasks_loads_nothing_heavy() -> None:
    loaded = _loaded("import kbootstrap.tasks as t; t.collection()")
    assert loaded.isdisjoint(HEAVY)
    ours = {name for name in loaded if name.startswith("kbootstrap.")}
    assert len(ours) < 75, "each module is a millisecond of every command"
    assert not {name for name in ours if name.startswith(("kbootstrap.engine", "kbootstrap.remote", "kbootstrap.plan", "kbootstrap.render"))}


def test_a_run_loads_only_what_it_needs() -> None:
    """What is only for what went wrong, for bytes under way, or for other commands is loaded when it is needed."""
    loaded = _loaded("from kbootstrap.tasks import _request")
    assert loaded.isdisjoint({"rich", "httpx", "kbootstrap.engine.autopsy", "kbootstrap.lab"})


def _loaded(code: str) -> set[str]:
    program = f"import json, sys; {code}; print(json.dumps(list(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout))


def _fails(error: BaseException) -> Exit:
    @reported
    def body(_: Context) -> None:
        raise error

    with pytest.raises(Exit) as caught:
        body(Context())
    return caught.value


def test_an_error_is_lines_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    error = InventoryError(
        "cluster.yml has problems", problems=[Problem(where="cluster.yml:3:5", what="unknown key", hint="Say masters.")], hint="Mend it."
    )
    assert _fails(error).code == InventoryError.exit_code
    assert capsys.readouterr().err == "error: cluster.yml has problems\n  cluster.yml:3:5  unknown key. Say masters.\n  Mend it.\n"


def test_a_bug_is_one_line_and_a_saved_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert _fails(ZeroDivisionError("division by zero")).code == BUG
    said = capsys.readouterr().err
    assert said.startswith("error: this is a bug in kbootstrap: ZeroDivisionError: division by zero\n  The trace is in ")
    assert "Traceback" not in said
    path = said.split("The trace is in ")[1].split(";")[0]
    assert "Traceback" in Path(path).read_text()


def test_a_full_disk_of_the_operator_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    with pytest.raises(Exit) as caught:
        reported(body)()
    assert caught.value.code == 5
    assert capsys.readouterr().err == "error: this machine: No space left on device\n  Mend it on this machine and run the same command again.\n"


def test_a_forbidden_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(Exit):
        reported(tmp_path.read_text)()
    assert f"error: {tmp_path}: Is a directory" in capsys.readouterr().err


def test_ctrl_c_says_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    assert _fails(KeyboardInterrupt()).code == INTERRUPTED
    assert "Run the same command again" in capsys.readouterr().err


def test_hosts_that_were_not_read_are_no_success() -> None:
    _request.refuse_unread(())
    with pytest.raises(ConnectError) as caught:
        _request.refuse_unread([Problem(where="w2", what="connection refused")])
    assert (str(caught.value), caught.value.exit_code) == ("1 host was not read", 3)
