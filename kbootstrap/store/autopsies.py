"""Autopsies on the operator's machine: ``inventory/<cluster>/autopsy/<time>-<command>.txt``, 0600, the newest few."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kbootstrap.store import files

KEPT: Final = 10


def keep(folder: Path, name: str, text: str) -> Path:
    """Write *text* as *name* in *folder*, and remove all but the newest; names begin with their time. Gives where it lies."""
    files.make_folder(folder)
    path = folder / f"{name}.txt"
    files.write_secret(path, text.encode())
    for old in sorted(folder.glob("*.txt"))[:-KEPT]:
        old.unlink(missing_ok=True)  # another run may have been quicker
    return path
