"""Passphrases typed at a real terminal: asked for once, twice for a new one, never shown."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
hosts: {masters: {m1: {address: 192.0.2.11}}}
"""
DEADLINE_S = 120
WORD = "correct horse battery"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory/lab").mkdir(parents=True)
    (tmp_path / "inventory/lab/cluster.yml").write_text(CLUSTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return tmp_path / "inventory/lab"


def _typed(*argv: str, answers: tuple[str, ...] = ()) -> tuple[int, str]:
    """Exit code and everything shown of a command on a terminal of its own, where each question for a passphrase gets the next of *answers*."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "kbootstrap", *argv])  # noqa: S606  # the argv is the test's own
    shown, left, end = "", list(answers), time.monotonic() + DEADLINE_S
    answered = 0
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 4096).decode()
            except OSError:  # the other end is closed
                break
        if left and shown.count("passphrase of") > answered and shown.rstrip(" ").endswith(":"):
            answered += 1
            os.write(terminal, f"{left.pop(0)}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


def test_a_new_passphrase_is_typed_twice_and_then_asked_for_once(lab: Path) -> None:
    assert _typed("certs.ensure")[0] == 0
    code, shown = _typed("certs.seal", answers=(WORD, f"{WORD}!"))
    assert code == 6
    assert "the two passphrases differ; nothing was changed" in shown
    assert not (lab / "pki/sealed.json").exists()
    code, shown = _typed("certs.seal", answers=(WORD, WORD))
    assert code == 0, shown
    assert "files sealed" in shown
    assert WORD not in shown
    code, shown = _typed("certs.show", answers=(WORD,))
    assert (code, shown.count("passphrase of")) == (0, 1), shown
    code, shown = _typed("certs.show", answers=("something else",))
    assert code == 6
    assert "the passphrase does not open it" in shown
