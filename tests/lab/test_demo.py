"""The two commands that a newcomer types first, unattended, and what they say comes next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kbootstrap import lab as labs

ROOT = Path(__file__).parents[2]
DEADLINE_S = 600.0
pytestmark = pytest.mark.usefixtures("lab_machine")


def kb(where: Path, *argv: str, code: int = 0) -> str:
    """The ``kbootstrap`` command in *where*, without a terminal; its output."""
    command = [sys.executable, "-m", "kbootstrap", *argv]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=where, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == code, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_demo_brings_everything_up_and_takes_it_away(claim: Callable[[str], AbstractContextManager[str]], tmp_path: Path) -> None:
    with claim("kbdemo") as name:
        first = kb(tmp_path, "demo", "--masters", "1", "--workers", "1", "--name", name)
        assert "verified\n── cluster\n" in first, "it says where the binaries come from"
        assert [line.split()[:3] for line in first.splitlines() if line.startswith(("m1 ", "w1 "))] == [
            ["m1", "Ready", "control-plane"],
            ["w1", "Ready", "worker"],
        ]
        assert f"kubectl --kubeconfig inventory/{name}/admin.conf" in first
        assert kb(tmp_path, "cluster.plan") == "Nothing to do: every host is as the inventory wants it.\n", "it is the only cluster here"
        again = kb(tmp_path, "demo", "--masters", "1", "--workers", "1", "--name", name)
        assert "0 changes: every host is as the inventory wants it." in again
        kb(tmp_path, "demo.down", "--name", name)
        assert labs.traces(name) == ()
        assert not (tmp_path / "inventory" / name).exists()
        assert "no clusters in inventory/" in _refusal(tmp_path)


def _refusal(where: Path) -> str:
    command = [sys.executable, "-m", "kbootstrap", "cluster.up", "--yes"]
    done = subprocess.run(command, cwd=where, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    return done.stderr
