"""``--passphrase-file`` and ``--passphrase-fd``, which every task with ``--cluster`` has: how what is locked in a PKI directory is opened.

A passphrase comes from a descriptor, a file of mode 0600 (of the option, then of ``certificates.passphrase_file`` in cluster.yml), or the terminal;
never from an argument or the environment, which other users of the machine can read. Each is asked for once, and only when it is needed.
"""

from __future__ import annotations

import getpass
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from kbootstrap.errors import PkiError
from kbootstrap.store.folder import Folder
from kbootstrap.store.passphrase import SOURCE

OPTIONS: Final[Mapping[str, Any]] = {"passphrase_file": "", "passphrase_fd": -1}
HELP: Final = {
    "passphrase_file": "a file of mode 0600 whose first line opens a sealed PKI directory and locked CA keys; else the terminal is asked",
    "passphrase_fd": "read that passphrase from this file descriptor",
}
_SHORTEST: Final = 8
_WAYS: Final = "Say --passphrase-file FILE or --passphrase-fd 3 3<FILE, or name the file in cluster.yml (certificates: passphrase_file)."
_GIVEN: ContextVar[tuple[str, int]] = ContextVar("given", default=("", -1))


class Passphrases:
    """The passphrases of one command. *aside* is held while somebody is asked."""

    def __init__(self, file: str, descriptor: int, *, of_cluster: Callable[[], Path | None] = lambda: None) -> None:
        self._descriptor = descriptor
        self._file = file
        self._of_cluster = of_cluster
        self._known: dict[str, bytes] = {}
        self._once = threading.Lock()
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, what: str) -> bytes:
        """The passphrase of *what*. PkiError where there is none."""
        with self._once:
            if what not in self._known:
                self._known[what] = self._silent() or self._typed(what)
            return self._known[what]

    def fresh(self, what: str) -> bytes:
        """A passphrase that *what* shall have from now on: typed twice. PkiError if it is too short to be of use."""
        found = self._silent()
        if not found:
            found = self._typed(what, new=True)
            if found != self._typed(f"{what}, again", new=True):
                raise PkiError("the two passphrases differ; nothing was changed", hint="Run the same command again.")
        if len(found) < _SHORTEST:
            raise PkiError(f"a passphrase of {len(found)} characters is soon guessed; nothing was changed", hint=f"Take {_SHORTEST} or more.")
        self._known[what] = found
        return found

    def _silent(self) -> bytes:
        """From a descriptor or a file; ``b""`` when none was named."""
        if self._descriptor >= 0:
            self._known.setdefault("", _of_descriptor(self._descriptor))
            return self._known[""]
        path = Path(self._file) if self._file else self._of_cluster()
        return _of_file(path) if path is not None else b""

    def _typed(self, what: str, *, new: bool = False) -> bytes:
        if not sys.stdin.isatty():
            raise PkiError(f"no passphrase for {what}: there is no terminal to ask on", hint=_WAYS)
        with self.aside():
            return getpass.getpass(f"{'new ' if new else ''}passphrase of {what}: ").encode()


@contextmanager
def offered(file: str, descriptor: int) -> Iterator[None]:
    """While a task runs that was given these options."""
    token = _GIVEN.set((file, descriptor))
    source = SOURCE.set(SOURCE.get())
    try:
        yield
    finally:
        SOURCE.reset(source)
        _GIVEN.reset(token)


def use_for(folder: Folder) -> None:
    """From now on whatever is locked in *folder* is opened as this task's options, its cluster.yml or the terminal say."""
    file, descriptor = _GIVEN.get()
    SOURCE.set(Passphrases(file, descriptor, of_cluster=lambda: _named_in(folder)))


@contextmanager
def asking_aside(aside: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """While something is drawn on the terminal that must step *aside* for a question."""
    source = SOURCE.get()
    if isinstance(source, Passphrases):
        source.aside = aside
    try:
        yield
    finally:
        if isinstance(source, Passphrases):
            source.aside = nullcontext


def fresh(what: str) -> bytes:
    """A new passphrase for *what*, as the task's options or the terminal give it."""
    source = SOURCE.get()
    return (source if isinstance(source, Passphrases) else Passphrases("", -1)).fresh(what)


def _named_in(folder: Folder) -> Path | None:
    from kbootstrap import inventory

    return inventory.load(folder.cluster_yml).certificates.passphrase_file


def _of_descriptor(descriptor: int) -> bytes:
    try:
        with os.fdopen(descriptor, "rb") as file:
            found = file.readline().rstrip(b"\r\n")
    except OSError as error:
        raise PkiError(f"--passphrase-fd {descriptor}: {error.strerror}", hint="For example: --passphrase-fd 3 3<passphrase-file.") from None
    if not found:
        raise PkiError(f"--passphrase-fd {descriptor} gives an empty passphrase")
    return found


def _of_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                raise PkiError(f"{path} is open to others (mode {mode:04o})", hint=f"Run: chmod 600 {path}")
            found = file.readline().rstrip(b"\r\n")
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror}", hint="It was to hold the passphrase.") from None
    if not found:
        raise PkiError(f"{path}: its first line is empty, and should be the passphrase")
    return found
