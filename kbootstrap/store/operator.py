"""Who is at work on this machine, as ledgers and locks name them."""

from __future__ import annotations

import os
import pwd
import socket


def who() -> str:
    """``user@machine``; behind sudo the user who called it, and the bare number of a user without a name, as in some containers."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"{os.environ.get('SUDO_USER') or name}@{socket.gethostname()}"
