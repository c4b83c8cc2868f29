"""Several files of a PKI directory change as one: a journal appears by one rename, and who comes next finishes what it says.

A crash before that rename leaves everything as it was, one after it everything as it will be: readers look through the journal. The caller
holds the cluster's lock while it writes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kbootstrap.store import files

JOURNAL: Final = ".journal"
_REMOVED: Final = "removed"
_CONTENTS: Final = "contents"


def write(root: Path, changes: Mapping[str, bytes | None], *, previous: str) -> None:
    """Put every content of *changes* (path inside *root* → bytes) at its path, and remove where it is None; what was there stays as *previous*.

    Of a private key nothing stays: one that was replaced must not lie around.
    """
    new = root / f"{JOURNAL}.new"
    _remove(new)
    _folder(new / _CONTENTS, root)
    for path, content in changes.items():
        if content is not None:
            _folder((new / _CONTENTS / path).parent, root)
            files.create_secret(new / _CONTENTS / path, content)
    files.create_secret(new / _REMOVED, "".join(f"{path}\n" for path, content in changes.items() if content is None).encode())
    files.sync(Path(folder) for folder, _, _ in os.walk(new))
    new.rename(root / JOURNAL)
    files.sync([root])
    finish(root, previous=previous)


def pending(root: Path) -> Mapping[str, bytes | None]:
    """What a journal in *root* still has to change, as ``write`` took it; empty where there is none."""
    journal = root / JOURNAL
    if not journal.is_dir():
        return {}
    found: dict[str, bytes | None] = dict.fromkeys((journal / _REMOVED).read_text().splitlines())
    contents = journal / _CONTENTS
    return found | {path.relative_to(contents).as_posix(): path.read_bytes() for path in sorted(contents.rglob("*")) if path.is_file()}


def finish(root: Path, *, previous: str) -> None:
    """Carry out what a journal in *root* says, if there is one; the same again after a crash in the middle."""
    journal, done = root / JOURNAL, root / f"{JOURNAL}.done"
    if journal.is_dir():
        touched = {root}
        for path, content in pending(root).items():
            _carry_out(root, path, content, previous)
            touched |= {folder for folder in ((root / path).parent, (root / path).parent.parent) if folder.is_dir()}
        files.sync(touched)
        _remove(done)
        journal.rename(done)  # a journal that a crash left half removed would be carried out half
        files.sync([root])
    _remove(done)


def _carry_out(root: Path, path: str, content: bytes | None, previous: str) -> None:
    target = root / path
    if content is None:
        target.unlink(missing_ok=True)
    elif not target.exists() or target.read_bytes() != content:
        _folder(target.parent, root)
        files.write_secret(target, content, previous="" if target.suffix == ".key" else previous)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _folder(path: Path, below: Path) -> None:
    """*path* and what is missing above it up to *below*, each closed to others."""
    if path != below:
        _folder(path.parent, below)
        path.mkdir(mode=0o700, exist_ok=True)
