"""Questions on a real terminal: they stand there whole while progress is drawn around them, and the end of input is an answer too."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kbootstrap.errors import UsageError
from kbootstrap.tasks._common import Passwords

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
PROGRAM = """
from kbootstrap.model.events import Progress
from kbootstrap.report.live import Live
from kbootstrap.tasks._common import ask, say
with Live() as live:
    live(Progress(host="m1", label="upload", done=1, total=2))
    with live.aside():
        answer = ask("Apply? [y/N] ")
    say(f"answer={answer}.")
"""


def on_a_terminal(typed: bytes) -> str:
    """What stands on the terminal once PROGRAM has ended; *typed* a good while (of ten frames a second) after the question."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    shown, end = b"", time.monotonic() + DEADLINE_S
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        while time.monotonic() < end:
            if not select.select([ours], [], [], 0.5)[0]:
                if typed and b"[y/N]" in shown:  # half a second of silence: nothing is drawn
                    os.write(ours, typed)
                    typed = b""
                continue
            try:
                shown += os.read(ours, 4096)
            except OSError:  # Linux: the other side is gone
                break
        process.kill()
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(("typed", "answer"), [(b"y\n", "y"), (b"\x04", "")])
def test_a_question_stands_alone(typed: bytes, answer: str) -> None:
    shown = on_a_terminal(typed)
    _, question, rest = shown.partition("Apply? [y/N] ")
    assert question, "whole, and not taken for markup"
    assert f"answer={answer}." in rest
    waiting = rest.partition("answer=")[0].partition("\n")[0]
    assert waiting.strip() == answer, "nothing is drawn over the question while somebody types"
    assert shown.rpartition("\x1b[?25h")[1], "the cursor is back"


def test_a_descriptor_that_is_none_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="--sudo-password-fd 987: Bad file descriptor"):
        Passwords(descriptor=987)
