"""``./inv``: a fresh clone gets its environment once, again only when the pins change, and says clearly what this machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kbootstrap.tasks._common import READER_GONE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The committed tree, as a newcomer gets it, with the ``inv`` that is tested."""
    folder = tmp_path / "kbootstrap"
    subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(folder)], check=True)
    for name in ("inv", "requirements/dev.txt", "tasks.py", "invoke.yaml"):
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "kbootstrap", folder / "kbootstrap", dirs_exist_ok=True)
    return folder


def inv(folder: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["./inv", *argv], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def programs(folder: Path, *names: str) -> Path:
    """A PATH that holds these programs of the machine and nothing else."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def test_the_tasks_are_listed_from_anywhere(clone: Path, tmp_path: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    done = subprocess.run([str(clone / "inv"), "--list"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for task in ("cluster.up", "demo.up (demo)", "test", "lint", "types"):
        assert f"  {task} " in done.stdout
    assert done.stderr == ""


def test_a_task_ends_with_its_exit_code_and_no_traceback(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    done = inv(clone, "inventory.check", "--cluster", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "error: there is no inventory/nowhere/cluster.yml\n  There is example.\n"
    assert inv(clone, "inventory.check", "--cluster", "example").returncode == 0


def test_a_reader_that_has_seen_enough_is_no_bug(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    shown = 'set -o pipefail; ./inv inventory.show --cluster example | { read -r line; exec <&-; sleep 1; echo "$line"; }'
    done = subprocess.run(["bash", "-c", shown], cwd=clone, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("cluster ")
    assert done.stderr == ""


def test_the_list_alone_and_half_read(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    assert inv(clone).stdout == inv(clone, "--list").stdout != ""
    done = subprocess.run(["bash", "-c", "set -o pipefail; ./inv --list | true"], cwd=clone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (READER_GONE, "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("cluster.up --clutser x", "cluster.up has no option --clutser. Did you mean --cluster?\n  ./inv --help cluster.up"),
        ("clutser.up", "there is no command clutser.up. Did you mean cluster.up?\n  ./inv --help cluster.up"),
        (
            "--help inventory.from_vagrnt",
            "there is no command inventory.from_vagrnt. Did you mean inventory.from_vagrant?\n  ./inv --help inventory.from_vagrant",
        ),
        ("preflight", "preflight is not a command but a group: preflight.list, preflight.run\n  ./inv --list preflight"),
        ("--list nowhere", "there is no command nowhere.\n  ./inv --list"),
        ("inventory.new --name x", "inventory.new needs --masters\n  ./inv --help inventory.new"),
        ("cluster.up --cluster", "--cluster needs a value\n  ./inv --help cluster.up"),
        ("demo --masters x", "--masters x: want a whole number\n  ./inv --help demo"),
        ("demo --workers=1.5", "--workers 1.5: want a whole number\n  ./inv --help demo"),
    ],
)
def test_a_wrong_command_line_is_one_block_with_the_next_command(clone: Path, argv: str, said: str) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    done = inv(clone, *argv.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {said}\n")


def test_help_is_help_where_a_value_is_missing_too(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    for argv in (("lab.ssh", "--help"), ("--help", "lab.ssh"), ("lab.ssh", "-h")):
        assert inv(clone, *argv).stdout.startswith("Usage: ./inv [--core-opts] lab.ssh [--options]")


def test_invoke_of_the_environment_runs_the_same_tasks(clone: Path) -> None:
    program = [sys.executable, "-m", "invoke", "inventory.check", "--cluster"]
    good = subprocess.run([*program, "example"], cwd=clone, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    bad = subprocess.run([*program, "nowhere"], cwd=clone, capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")


def test_a_cluster_that_the_environment_names_is_said_to_be_so(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    done = inv(clone, "inventory.check", KB_CLUSTER="gone")
    assert done.stderr == "error: there is no inventory/gone/cluster.yml (the name comes from KB_CLUSTER in the environment)\n  There is example.\n"


def test_the_next_command_is_one_that_can_be_typed(clone: Path, tmp_path: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    assert "`./inv inventory.new --name" in inv(clone, "cluster.status").stderr
    far = subprocess.run([str(clone / "inv"), "cluster.status"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"`{clone}/inv inventory.new --name" in far.stderr
    installed = subprocess.run(
        [sys.executable, "-m", "kbootstrap", "cluster.status"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(clone)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert installed.returncode == 2
    assert "`kbootstrap inventory.new --name" in installed.stderr


def test_a_task_is_called_as_its_function_is(clone: Path) -> None:
    (clone / ".venv").symlink_to(ROOT / ".venv")
    assert "inventory.from_vagrant [--options]" in inv(clone, "--help", "inventory.from_vagrant").stdout


def test_the_environment_is_made_when_the_pins_are_new_and_only_then(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    (clone / ".venv/.pins").write_text("# those of an older version\n")
    (clone / "requirements/dev.txt").write_text("# nothing to install\n")
    first = inv(clone, "--version")
    assert "setting up .venv with Python 3." in first.stderr
    assert "No module named 'invoke'" in first.stderr, "it ran the new environment's Python, where nothing is installed"
    second = inv(clone, "--version")
    assert "setting up" not in second.stderr
    assert "No module named 'invoke'" in second.stderr


def test_a_machine_without_python_is_told(clone: Path, tmp_path: Path) -> None:
    done = inv(clone, "--list", PATH=str(programs(tmp_path / "bin", "sh", "dirname", "cmp")))
    assert done.returncode == 2
    assert done.stderr.startswith("error: no Python 3.11 or newer here\n  Install one (Debian, Ubuntu: apt-get install python3 python3-venv)")


def test_a_python_that_is_too_old_is_told(clone: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", "sh", "dirname", "cmp")
    old = path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")  # what Python 3.10 answers when asked whether it is new enough
    old.chmod(0o755)
    assert "no Python 3.11 or newer" in inv(clone, "--list", PATH=str(path)).stderr


def test_a_python_without_venv_is_told(clone: Path, tmp_path: Path) -> None:
    path = programs(tmp_path / "bin", "sh", "dirname", "cmp")
    bare = path / "python3"
    bare.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; --version) echo Python 3.11.2 ;; esac\n')  # Debian's python3 alone
    bare.chmod(0o755)
    done = inv(clone, "--list", PATH=str(path))
    assert done.returncode == 2
    assert done.stderr.endswith("error: Python has no venv module\n  Debian, Ubuntu: apt-get install python3-venv\n")
    assert not (clone / ".venv").exists()
