"""The kubeconfigs that the user's kubectl reads, found as kubectl finds them and changed under its own lock, each by one rename.

The rules are client-go's (tools/clientcmd, PathOptions): a file that is named; else the list in ``$KUBECONFIG``; else ``~/.kube/config``. A new
entry goes into the first file of the list that exists, or the last where none does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbootstrap import kubeconfig
from kbootstrap.errors import UsageError
from kbootstrap.store import clock, files, kubectl_lock

PREVIOUS: Final = ".previous"
VARIABLE: Final = "KUBECONFIG"
# kubectl reads before it takes the lock, and what is missing then it later takes out. Who read before our change finds us still there, and fails.
_LINGER_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """*paths* in the order in which kubectl believes them; new entries go into *home*, one of them."""

    paths: tuple[Path, ...]
    home: Path


def find(file: str = "", environment: Mapping[str, str] = os.environ) -> Files:
    """The files that kubectl would use, with ``--kubeconfig`` *file* if it is given. UsageError when the variable names none."""
    if file:
        return Files(paths=(Path(file),), home=Path(file))
    listed = environment.get(VARIABLE, "")
    paths = tuple(dict.fromkeys(Path(name) for name in listed.split(os.pathsep) if name))
    if listed and not paths:
        raise UsageError(f"{VARIABLE} names no file", hint="Unset it, or say --file.")
    paths = paths or (_default(),)
    return Files(paths=paths, home=next((path for path in paths if path.exists()), paths[-1]))


def _default() -> Path:
    return Path.home() / ".kube" / "config"


def change(
    found: Files, edit: Callable[[Sequence[str]], kubeconfig.Edited], *, command: str, patience_s: float = 10.0
) -> tuple[kubeconfig.Edited, tuple[Path, ...]]:
    """What *edit* made of the files' texts ("" for one that is absent), and which files were written; their old content stays as ``.previous``.

    Raises UsageError when a file is no kubeconfig or cannot be written, LockError when somebody else keeps writing for *patience_s*; then no
    file has changed.
    """
    try:
        _refuse_devices(found.paths)
        with kubectl_lock.hold(found.paths, command, patience_s=patience_s):
            before = [_read(path) for path in found.paths]
            edited = edit(before)
            written = [(path, text) for path, old, text in zip(found.paths, before, edited.texts, strict=True) if text != old]
            for path, text in written:
                _replace(Path(os.path.realpath(path)), text.encode())
            clock.pause(_LINGER_S if written else 0)
            return edited, tuple(path for path, _ in written)
    except OSError as error:
        raise UsageError(f"{error.filename or 'the kubeconfig'}: {error.strerror}", hint="Mend that, or say --file for another file.") from error


def _refuse_devices(paths: Sequence[Path]) -> None:
    """``KUBECONFIG=/dev/null`` means «none», and must never be renamed over."""
    for path in paths:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is no regular file", hint="Say --file for the kubeconfig that is meant.")


def _read(path: Path) -> str:
    source = path
    if not path.exists() and path == _default():
        source = path.with_name(".kubeconfig")  # its name until 2015: kubectl copies it as long as there is no other, so we must
    try:
        text = source.read_bytes().decode()
        kubeconfig.parse(text)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise UsageError(f"{path}: the kubeconfig is not UTF-8; it was left as it is") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error.message} It was left as it is.", hint="Mend it, or say --file for another file.") from None
    return text


def _replace(path: Path, content: bytes) -> None:
    """*path* is no symlink. Mode and owner stay; a new file is 0600."""
    temporary = path.with_name(f".{path.name}{files.TEMPORARY}")
    temporary.unlink(missing_ok=True)
    files.create_secret(temporary, content)
    if path.exists():
        before, keep = path.stat(), path.with_name(path.name + PREVIOUS)
        files.write_secret(keep, path.read_bytes())
        for new in (keep, temporary):
            if (new.stat().st_uid, new.stat().st_gid) != (before.st_uid, before.st_gid):
                os.chown(new, before.st_uid, before.st_gid)
        temporary.chmod(stat.S_IMODE(before.st_mode))
    temporary.replace(path)
    files.sync([path.parent])
