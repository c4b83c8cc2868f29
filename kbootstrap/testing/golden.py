"""Golden files: a folder of texts that a test produces anew and compares; the diff of the folder is the review of a change.

``KB_UPDATE_GOLDEN=1 pytest …`` writes what was produced instead of comparing it.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def check(folder: Path, produced: Mapping[str, str]) -> None:
    """*folder* holds exactly *produced* (relative path → text); AssertionError shows the difference of each file."""
    if os.environ.get("KB_UPDATE_GOLDEN"):
        _write(folder, produced)
    expected = _read(folder)
    differences = [_difference(name, expected.get(name, ""), produced.get(name, "")) for name in sorted(expected | dict(produced))]
    shown = "\n".join(difference for difference in differences if difference)
    if shown:
        raise AssertionError(f"{folder.name} is not what was produced; if that is meant, run with KB_UPDATE_GOLDEN=1\n{shown}")


def _read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def _write(folder: Path, produced: Mapping[str, str]) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    for name, text in produced.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _difference(name: str, expected: str, produced: str) -> str:
    lines = difflib.unified_diff(expected.splitlines(), produced.splitlines(), f"golden/{name}", f"produced/{name}", lineterm="")
    return "\n".join(lines)
