"""Running a program of this machine, with a deadline and an error that shows what it said."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence

from kbootstrap.errors import CommandError


def run(argv: Sequence[str], *, text: str = "", timeout_s: float = 60.0, env: Mapping[str, str] | None = None) -> str:
    """Run *argv* with *text* as standard input; its standard output. CommandError with the last lines if it fails or takes too long."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout_s, env=env, check=False)
    except FileNotFoundError as error:
        raise CommandError(f"{argv[0]}: no such program on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{shlex.join(argv)}: not done after {timeout_s:g} s") from error
    if done.returncode:
        raise CommandError(f"{shlex.join(argv)}: exit code {done.returncode}\n{tail(done.stderr or done.stdout)}")
    return done.stdout


def tail(text: str, lines: int = 10) -> str:
    """The last *lines* of *text*, indented."""
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-lines:])
