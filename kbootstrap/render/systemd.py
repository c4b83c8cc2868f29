"""systemd's quoting of command lines (systemd.service(5), «COMMAND LINES»)."""

from __future__ import annotations

import re
from typing import Final

# Set by systemd for units with LoadCredential=; the specifier %d needs systemd 250, the variable works from 247 on.
CREDENTIALS: Final = "${CREDENTIALS_DIRECTORY}"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./${}*-]+")


def credential(name: str) -> str:
    """The path under which a daemon finds the credential *name*."""
    return f"{CREDENTIALS}/{name}"


def argument(text: object) -> str:
    """One argument of ``Exec…=``: ``%`` and ``$`` lose their meaning (but for the credentials directory), blanks and quotes are quoted."""
    escaped = str(text).replace("%", "%%").replace("$", "$$").replace(f"${CREDENTIALS}", CREDENTIALS)
    if _PLAIN.fullmatch(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
