"""How the program was started, and commands in messages as this user can type them: the texts in code all say ``invoke x.y``."""

from __future__ import annotations

import os
import re
import shlex
from typing import Final

VARIABLE: Final = "KB_RUNNER"
# A task (with its namespace, or demo alone) or an option that lists and explains them; «invoke» in prose stays.
_COMMAND: Final = re.compile(r"(?<![\w./-])(?:invoke|\./inv)(?= (?:--help\b|--list\b|demo\b|[a-z]+\.[a-z_]+))")


def runner() -> str:
    """``./inv`` of a checkout, ``kbootstrap`` of an installation (both say so in the environment), else ``invoke`` of an active venv."""
    given = os.environ.get(VARIABLE, "")
    return shlex.quote(given) if given and not set(given) & set("\"'\\") else "invoke"  # those would break --json


def typed(text: str, program: str) -> str:
    """*text* with *program* in place of ``invoke`` wherever it shows a command."""
    return _COMMAND.sub(lambda _: program, text)


def in_hand(text: str) -> str:
    """*text* with commands for the program that runs now."""
    return typed(text, runner())
