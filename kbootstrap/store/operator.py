"""Who is at work on this machine, as ledgers and locks name them, and what its systemd says."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess


def who() -> str:
    """``user@machine``; behind sudo the user who called it, and the bare number of a user without a name, as in some containers."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"{os.environ.get('SUDO_USER') or name}@{socket.gethostname()}"


def judged_time(at: str) -> str | None:
    """None for a calendar event (systemd.time(7)), else what is wrong with it. systemd itself judges where it is at hand; what would be another line
    of the unit is never one."""
    if not at.isprintable() or not at.strip():
        return ""
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    done = subprocess.run([program, "calendar", "--", at], capture_output=True, text=True, check=False)
    return f": {done.stderr.strip()}" if done.returncode else None
