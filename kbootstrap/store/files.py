"""Files that hold secrets: created 0600 with O_EXCL, written beside their place, fsynced, and renamed into it.

After a SIGKILL or a power cut the path holds the old content or the new, never a part. The caller holds the cluster's lock: two
writers of one path would use the same temporary name (a fixed one, so that what a killed run left is removed by the next).
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kbootstrap.errors import UsageError

TEMPORARY: Final = ".tmp"
NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""How a file system without hard links refuses one."""


def write_secret(path: Path, content: bytes, *, previous: str = "") -> None:
    """Put *content* at *path*; with *previous* the content until now stays beside it under that suffix. ``sync`` makes the name durable."""
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    create_secret(temporary, content)
    if previous and path.exists():
        keep = path.with_name(path.name + previous)
        write_secret(keep, path.read_bytes())
    temporary.replace(path)


def create_secret(path: Path, content: bytes) -> None:
    """A new file, 0600 whatever the umask, its content on the disk. FileExistsError (never followed, never reused) if something is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def give_name(temporary: Path, path: Path) -> None:
    """What is complete at *temporary* is *path* from now on. FileExistsError, and nothing is changed, if something is there."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):  # no hard links here: a rename is as whole, and only a writer of this very moment goes unseen
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)
    else:
        temporary.unlink()


def refuse_unfit(path: Path, *, option: str, taken: str = "") -> None:
    """UsageError unless a file named by the user's *option* can be written at *path*; with *taken*, the way out, only where none is yet."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"{option} names the file to write.")
    refuse_missing(path.parent)
    if taken and (path.exists() or path.is_symlink()):
        raise UsageError(f"{path} exists; nothing was written", hint=taken)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{path} may not be written by this user", hint=f"{option} names the file to write.")


def refuse_missing(folder: Path) -> None:
    """UsageError unless *folder*, which the user named, is there: a mistyped name, or a disk that is not mounted, must not become a new folder."""
    if not folder.is_dir():
        what = f"{folder} is no folder" if folder.exists() else f"there is no folder {folder}"
        raise UsageError(f"{what}; nothing was written", hint=f"Make it, and run the same command again: mkdir -p {shlex.quote(str(folder))}")


def append_secret(path: Path, lines: Iterable[str]) -> None:
    """Append whole *lines* and wait until they are on the disk; a line that a crash cut short before is closed first."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "a+b") as file:
        size = file.seek(0, os.SEEK_END)
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        file.write(b"\n" * torn + "".join(f"{line}\n" for line in lines).encode())
        file.flush()
        os.fsync(descriptor)


def make_folder(path: Path) -> None:
    """*path* and what is missing above it; *path* itself is 0700 when it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def sync(folders: Iterable[Path]) -> None:
    """Make the names inside *folders* durable: a rename reaches the disk with its folder, not with its file."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
