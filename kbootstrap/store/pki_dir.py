"""The PKI directory, ``inventory/<cluster>/pki``: read whole and checked, written so that a crash at any moment leaves it whole.

Its first content (CAs, keys, the first leaves) appears by one rename of a finished directory; later a pair is one file and one rename.
``kbootstrap.pki.layout`` has the names. The caller holds the cluster's lock while it saves.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kbootstrap.errors import PkiError, Problem
from kbootstrap.model.pki import Issued, Pki
from kbootstrap.pki import consistency, layout
from kbootstrap.store import files, operator, passphrase, pki_journal, vault

_RESTORE: Final = "Restore it from a backup."
_SUFFIXES: Final = frozenset({".crt", ".key", ".pub", ".pem"})


def load(root: Path) -> Pki:
    """Everything in *root*; ``Pki()`` when there is no such directory, or nothing in it. Changes nothing.

    Raises PkiError, with every fault at once, when a file is readable to others, empty, not what its name says, when a key and its
    certificate do not match, a certificate comes from no CA in there, or a CA or key is missing beside anything at all. A missing leaf is no
    fault, nor is the absent key of a CA.
    """
    if not root.is_dir():
        return Pki()
    contents = _read(root)
    if not contents and not any(root.iterdir()):
        return Pki()
    if empty := [Problem(where=path, what="is empty.", hint=_RESTORE) for path, text in contents.items() if not text.strip()]:
        raise _refusal(root, empty)
    try:
        pki = layout.assemble(contents)
    except ValueError as error:
        raise _refusal(root, [Problem(where=layout.encryption_key(), what=f"holds no key in base64: {error}.", hint=_RESTORE)]) from error
    faults = consistency.damage(pki)
    if pki.is_empty and pki.given:
        stray = contents.keys() - layout.lay_out(pki).keys()
        faults += tuple(Problem(where=path, what="belongs to no cluster that could begin here.", hint=_RESTORE) for path in sorted(stray))
    if faults:
        raise _refusal(root, faults)
    return dataclasses.replace(pki, unlock=passphrase.ask)


def save(root: Path, pki: Pki, issued: Iterable[Issued]) -> None:
    """Write what of *pki* the directory does not hold yet, and the ledger's lines before it. What lies there and *pki* lacks stays.

    Raises PkiError, before anything is written, when *pki* has another CA, service-account or encryption key than the directory (``replace``).
    """
    wanted = layout.lay_out(pki)
    records = tuple(issued)
    if root.is_dir():
        pki_journal.finish(root, previous=layout.PREVIOUS)
    there = _read(root) if root.is_dir() else {}
    if not there:
        _create(root, wanted, records)
        return
    if layout.assemble(there).is_empty and not pki.is_empty:  # a cluster that begins with CAs that the user gave
        replace(root, load(root), pki, records)
        return
    changed = {path: content for path, content in wanted.items() if there.get(path) != content}
    foreign = [Problem(where=path, what="differs from the one to be saved; it is never replaced.") for path in changed if not path.endswith(".pem")]
    if foreign:
        raise _refusal(root, foreign)
    record(root, records)
    kept = vault.of(root)
    for path, content in changed.items():
        files.make_folder((root / path).parent)
        files.write_secret(root / path, kept.close(path, content), previous=layout.PREVIOUS)
    files.sync({root, *(folder for path in changed for folder in ((root / path).parent, (root / path).parent.parent))})


def replace(root: Path, before: Pki, after: Pki, issued: Iterable[Issued]) -> None:
    """Make the directory that holds *before* hold *after*: all of it or, after a crash, nothing. The only way by which CAs and keys change.

    PkiError, before anything is written, when the directory does not hold *before* any more.
    """
    if not root.is_dir() and before == Pki():
        _create(root, layout.lay_out(after), issued)
        return
    if load(root) != before:
        raise PkiError(f"{root} was changed meanwhile; nothing was written", hint="Run the same command again.")
    old, new = layout.lay_out(before), layout.lay_out(after)
    changes: dict[str, bytes | None] = {path: None for path in old if path not in new}
    changes |= {path: content for path, content in new.items() if old.get(path) != content}
    pki_journal.finish(root, previous=layout.PREVIOUS)
    record(root, issued)
    if changes:
        kept = vault.of(root)
        closed = {path: None if content is None else kept.close(path, content) for path, content in changes.items()}
        pki_journal.write(root, closed, previous=layout.PREVIOUS)


def record(root: Path, issued: Iterable[Issued]) -> None:
    """Append to the ledger; on the disk when this returns. For what is signed but not kept (the certificate of the first binding) too."""
    lines = [_ledger_line(entry) for entry in issued]
    kept = vault.of(root)
    if lines and kept.key:
        content = _ledger(root, kept) + "".join(f"{line}\n" for line in lines).encode()
        files.write_secret(root / layout.LEDGER, kept.close(layout.LEDGER, content))
        files.sync([root])
    elif lines:
        files.append_secret(root / layout.LEDGER, lines)


def ledger(root: Path) -> tuple[Issued, ...]:
    """Every signature that was ever made, the oldest first. A line that a power cut tore is left out: what it was about was never used."""
    found = []
    for line in _ledger(root, vault.of(root)).splitlines():
        with suppress(ValueError, KeyError, TypeError):
            found.append(_entry(json.loads(line)))
    return tuple(found)


def _ledger(root: Path, kept: vault.Vault) -> bytes:
    path = root / layout.LEDGER
    return kept.open(layout.LEDGER, path.read_bytes()) if path.exists() else b""


def _create(root: Path, wanted: Mapping[str, bytes], records: Iterable[Issued]) -> None:
    """The whole directory at once: a run killed before the rename leaves no CA at all, and nothing was signed by one."""
    root = root.resolve()  # the user may have put it elsewhere and left a link
    new = root.with_name(f".{root.name}.new")
    if new.exists():
        shutil.rmtree(new)
    files.make_folder(new)
    for path, content in wanted.items():
        files.make_folder((new / path).parent.parent)
        files.make_folder((new / path).parent)
        files.create_secret(new / path, content)
    record(new, records)
    files.sync(Path(folder) for folder, _, _ in os.walk(new))
    try:
        new.rename(root)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.EXDEV}:
            raise
        hint = "Run again to use what is in it." if error.errno in {errno.ENOTEMPTY, errno.EEXIST} else "Use a folder below the mount point."
        raise PkiError(f"{root} cannot be created: {error.strerror}.", hint=hint) from error
    files.sync([root.parent])


def _read(root: Path) -> dict[str, bytes]:
    """Path inside *root* → content, of every file that matters. PkiError when others may read or change anything in there."""
    contents: dict[str, bytes] = {}
    loose: list[Problem] = []
    try:
        pending = pki_journal.pending(root)
        for path in _walk(root):
            mode = path.stat().st_mode
            if mode & 0o077:
                want = 0o700 if stat.S_ISDIR(mode) else 0o600
                loose.append(Problem(where=str(path), what=f"has mode {stat.S_IMODE(mode):04o}, want {want:04o}."))
            elif path.suffix in _SUFFIXES and stat.S_ISREG(mode) and not path.relative_to(root).parts[0].startswith(pki_journal.JOURNAL):
                contents[path.relative_to(root).as_posix()] = path.read_bytes()
    except OSError as error:
        raise PkiError(f"{error.filename} cannot be read: {error.strerror}.", hint="Run as the user who owns the PKI directory.") from error
    if loose:
        raise PkiError(f"The PKI is open to others: {loose[0]}", hint=f"Close it: chmod -R go-rwx {root}", problems=loose)
    contents |= {path: text for path, text in pending.items() if text is not None}
    kept = vault.of(root)
    return {path: kept.open(path, text) for path, text in contents.items() if pending.get(path, text) is not None}


def _walk(root: Path) -> Iterator[Path]:
    """*root* and everything below it; OSError for a folder that cannot be read (``os.walk`` would pass over it, and a CA seem absent)."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(root, onerror=refuse):
        yield Path(folder)
        yield from (Path(folder) / name for name in sorted(names))


def _refusal(root: Path, faults: Iterable[Problem]) -> PkiError:
    """One error for all *faults*, each with the path that the user can type."""
    problems = [Problem(where=str(root / fault.where), what=fault.what, hint=fault.hint) for fault in faults]
    return PkiError(f"The PKI is damaged: {problems[0].where} {problems[0].what}", hint=problems[0].hint, problems=problems)


def _ledger_line(entry: Issued) -> str:
    return json.dumps(
        {
            "when": entry.when.isoformat(),
            "id": entry.id,
            "serial": entry.serial,
            "issuer": entry.issuer,
            "subject": entry.subject,
            "groups": list(entry.groups),
            "expiry": entry.not_after.isoformat(),
            "reason": entry.reason,
            "who": operator.who(),
        },
        ensure_ascii=False,
    )


def _entry(line: Mapping[str, Any]) -> Issued:
    return Issued(
        id=line["id"],
        serial=line["serial"],
        issuer=line["issuer"],
        subject=line["subject"],
        groups=tuple(line["groups"]),
        when=datetime.fromisoformat(line["when"]),
        not_after=datetime.fromisoformat(line["expiry"]),
        reason=line["reason"],
        who=line.get("who", ""),
    )
