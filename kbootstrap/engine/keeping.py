"""Passphrases on the CA keys of a cluster: put on, and taken off. The operator's disk alone; the keys themselves stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from kbootstrap.errors import PkiError
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair
from kbootstrap.pki import locked
from kbootstrap.store import lock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder


def lock_keys(folder: Folder, passphrase: Callable[[], bytes]) -> tuple[str, ...]:
    """Put *passphrase* on every CA key that is here and open; the names of those CAs. Nothing of an open key stays in the directory."""
    return _change(folder, lambda key_pem, word: locked.lock(key_pem, word, SystemEntropy()), passphrase, to=True)


def unlock_keys(folder: Folder, passphrase: Callable[[], bytes]) -> tuple[str, ...]:
    """Take the passphrase off every CA key that has one; the names of those CAs. PkiError, and nothing written, when it is another."""
    return _change(folder, locked.unlock, passphrase, to=False)


def _change(folder: Folder, work: Callable[[bytes, bytes], bytes], passphrase: Callable[[], bytes], *, to: bool) -> tuple[str, ...]:
    with lock.hold(folder.root, "certs.encrypt_keys" if to else "certs.decrypt_keys"):
        before = pki_dir.load(folder.pki)
        tables = (before.cas, before.upcoming, before.given)
        due = [name for table in tables for name, ca in table.items() if _open(name, ca) is to]
        if not any(ca.key_pem for table in tables for ca in table.values()):
            raise PkiError(f"{folder.pki} holds no key of a CA", hint="The first `invoke cluster.up` or `invoke certs.ensure` makes them.")
        if not due:
            return ()
        word = passphrase()

        def changed(table: Mapping[str, KeyPair]) -> dict[str, KeyPair]:
            return {name: replace(ca, key_pem=_worked(name, ca, work, word)) if _open(name, ca) is to else ca for name, ca in table.items()}

        after = replace(before, cas=changed(before.cas), upcoming=changed(before.upcoming), given=changed(before.given))
        pki_dir.replace(folder.pki, before, after, ())
    return tuple(dict.fromkeys(due))


def _open(name: str, ca: KeyPair) -> bool | None:
    """Whether a CA's key lies open; None where there is no key that could be locked. Hosts need the key of tokens, so it never is."""
    return None if name == SERVICE_ACCOUNT or not ca.key_pem else not locked.is_locked(ca.key_pem)


def _worked(name: str, ca: KeyPair, work: Callable[[bytes, bytes], bytes], word: bytes) -> bytes:
    try:
        return work(ca.key_pem, word)
    except PkiError as error:
        raise PkiError(f"the key of the CA {name}: {error.message}", hint=error.hint) from error
