"""A PKI directory whose files are sealed at rest: what the disk holds ↔ what is in it.

``sealed.json`` (one line of JSON, then the wrapped key) makes a directory a sealed one; each file is sealed by itself, so that everything stays
one file and one rename. It also says whether all files are sealed yet: while a directory is on its way into this state or out of it, both kinds
are read; afterwards a file that is not sealed is refused, for whoever planted it did not know the passphrase.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kbootstrap.errors import PkiError
from kbootstrap.pki import layout, seal
from kbootstrap.store import files, passphrase, pki_journal
from kbootstrap.store.entropy import SystemEntropy

HEADER: Final = "sealed.json"
_WHOLE: Final = "all files are sealed"
_ON_ITS_WAY: Final = "some files are sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """How the files of one directory are kept; without a *key* as they are."""

    root: Path
    key: bytes = field(default=b"", repr=False)
    whole: bool = False

    def open(self, path: str, kept: bytes) -> bytes:
        """The content of the file *path* (inside the directory), of which the disk holds *kept*. PkiError when it cannot be opened."""
        if not seal.is_sealed_file(kept):
            if self.whole:
                raise PkiError(
                    f"{self.root / path} is not sealed, as all files here are",
                    hint="Somebody put it there. If it was you, remove it, and put it in after `invoke certs.unseal`.",
                )
            return kept
        if not self.key:
            raise PkiError(f"{self.root / path} is sealed, and {self.root / HEADER} is missing", hint="Restore it from a backup.")
        return seal.open_file(self.key, path, kept)

    def close(self, path: str, content: bytes) -> bytes:
        """What the disk shall hold of *content* at *path*."""
        return seal.close_file(self.key, path, content, SystemEntropy()) if self.key else content


def of(root: Path) -> Vault:
    """The vault of the directory *root*; asks for the passphrase if it is sealed. PkiError when that is another."""
    try:
        header = (root / HEADER).read_bytes()
    except FileNotFoundError:
        return Vault(root=root)
    word = passphrase.ask(title(root))
    try:
        key = seal.open_(header, word)
    except PkiError as error:
        raise PkiError(f"{root}: {error.message}", hint=error.hint) from error
    return Vault(root=root, key=key, whole=seal.header(header).note == _WHOLE)


def is_sealed(root: Path) -> bool:
    """Whether a passphrase is needed to read *root*."""
    return (root / HEADER).exists()


def seal_all(root: Path, *, cost: int = seal.COST) -> int:
    """Seal every file of *root*, or what a run that was killed left; how many were. Asks for the passphrase. The caller holds the lock."""
    word = passphrase.ask(title(root))
    vault = of(root)
    key = vault.key or seal.new_key(SystemEntropy())
    _write_header(root, key, word, _ON_ITS_WAY, cost)
    done = _rewrite(Vault(root=root, key=key))
    _write_header(root, key, word, _WHOLE, cost)
    return done


def unseal_all(root: Path) -> int:
    """Open every file of *root* for good; how many were sealed. PkiError when it is not sealed."""
    if not is_sealed(root):
        raise PkiError(f"{root} is not sealed")
    word = passphrase.ask(title(root))
    vault = of(root)
    _write_header(root, vault.key, word, _ON_ITS_WAY, seal.header((root / HEADER).read_bytes()).cost)
    done = _rewrite(Vault(root=root, key=vault.key), sealed=False)
    (root / HEADER).unlink()
    files.sync([root])
    return done


def _rewrite(vault: Vault, *, sealed: bool = True) -> int:
    """Each file as it shall be; a file that is so already stays. What a killed run left half-written is removed, for it lies open."""
    pki_journal.finish(vault.root, previous=layout.PREVIOUS)
    done = 0
    for path in list(_files(vault.root)):
        kept, name = path.read_bytes(), path.relative_to(vault.root).as_posix().removesuffix(layout.PREVIOUS)
        if seal.is_sealed_file(kept) is not sealed:
            content = vault.open(name, kept)
            files.write_secret(path, vault.close(name, content) if sealed else content)
            files.sync([path.parent])
            done += 1
    return done


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            if name.startswith(".") and name.endswith(files.TEMPORARY):
                (Path(folder) / name).unlink()
            elif Path(folder) / name != root / HEADER:
                yield Path(folder) / name


def _write_header(root: Path, key: bytes, word: bytes, note: str, cost: int) -> None:
    entropy = SystemEntropy()
    files.write_secret(root / HEADER, seal.close(seal.Lock(note=note, salt=entropy.random(16), cost=cost), word, key, entropy))
    files.sync([root])


def title(root: Path) -> str:
    """What a passphrase is asked for."""
    return f"the PKI directory {root}"
