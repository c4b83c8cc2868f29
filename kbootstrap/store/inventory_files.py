"""Write what belongs to an inventory and is no secret: a new ``cluster.yml``, the cluster's ``known_hosts``.

A new inventory never replaces anything. Replacing is atomic: after a crash the file holds the old text or the new one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kbootstrap.errors import UsageError
from kbootstrap.store.files import sync


def write_new(path: Path, text: str) -> None:
    """Create *path* (and its folder) with *text*. UsageError if it exists or cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        sync([path.parent])
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="Remove it first, or choose another --name.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def replace_text(path: Path, text: str) -> None:
    """Put *text* at *path* in one step, through a link to where it points; mode 0644, or what the file had. UsageError if that cannot be done."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        with temporary.open("x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(target)
        sync([target.parent])
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def read_text(path: Path) -> str:
    """The text of *path*, empty if it does not exist; bytes that are no UTF-8 survive ``replace_text``."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
