"""How certificates are kept: locked CA keys, a sealed directory, backups. ``certs.py`` lists them beside the others."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import PkiError, counted
from kbootstrap.tasks import _passphrase
from kbootstrap.tasks._common import CLUSTER_HELP, ROOT, find_folder, reported, say

_BACKUP = {
    "passphrase_file": "a file of mode 0600 whose first line is the passphrase of the backup; else the terminal is asked",
    "passphrase_fd": "read that passphrase from this file descriptor",
}


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP})
@reported
def encrypt_keys(_: Context, cluster: str = "") -> None:
    """Lock the CA keys by a passphrase (PKCS #8); it is asked for only when something must be signed. Asks no host."""
    from kbootstrap.engine import keeping
    from kbootstrap.pki.issue import CA_KEYS

    folder = find_folder(cluster)
    done = keeping.lock_keys(folder, lambda: _passphrase.fresh(CA_KEYS))
    say(f"locked: {', '.join(done)}. Without the passphrase nobody can sign with them, nor open them again." if done else "every CA key is locked")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP})
@reported
def decrypt_keys(_: Context, cluster: str = "") -> None:
    """Take the passphrase off the CA keys. Asks no host."""
    from kbootstrap.engine import keeping
    from kbootstrap.pki.issue import CA_KEYS
    from kbootstrap.store import passphrase

    done = keeping.unlock_keys(find_folder(cluster), lambda: passphrase.ask(CA_KEYS))
    say(f"open: {', '.join(done)}" if done else "no CA key is locked")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP})
@reported
def seal(_: Context, cluster: str = "") -> None:
    """Seal every file of the PKI directory by a passphrase (scrypt, AES-256-GCM); every command then asks for it. Asks no host."""
    from kbootstrap.store import lock, vault

    folder = find_folder(cluster)
    if not folder.pki.is_dir():
        raise PkiError(f"{folder.pki} holds nothing yet", hint="The first `invoke cluster.up` or `invoke certs.ensure` makes it.")
    with lock.hold(folder.root, "certs.seal"):
        if not vault.is_sealed(folder.pki):
            _passphrase.fresh(vault.title(folder.pki))
        done = vault.seal_all(folder.pki)
    say(f"{counted(done, 'file')} sealed" if done else "every file is sealed")
    if done:
        say("Without the passphrase nothing of it can be read. Copies from before (backups of this disk, snapshots) are as readable as they were.")
    if open_ := [path for path in (folder.admin_conf, folder.root / "users", folder.root / "kubeconfigs") if path.exists()]:
        say(f"Not sealed, since kubectl reads them: {', '.join(map(str, open_))}. Each holds a key that the cluster accepts; remove what you can.")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP})
@reported
def unseal(_: Context, cluster: str = "") -> None:
    """Open a sealed PKI directory for good. Asks no host."""
    from kbootstrap.store import lock, vault

    folder = find_folder(cluster)
    with lock.hold(folder.root, "certs.unseal"):
        say(f"{counted(vault.unseal_all(folder.pki), 'file')} opened")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "to": "the new file to write", **_BACKUP})
@reported
def backup(_: Context, to: str = "", cluster: str = "", passphrase_file: str = "", passphrase_fd: int = -1) -> None:
    """Write PKI, cluster.yml and state into one encrypted file, and read it back to prove it. Asks no host."""
    from kbootstrap.store import backup as archive
    from kbootstrap.store import clock, files, lock

    folder = find_folder(cluster)
    target = Path(to) if to else Path(f"{folder.name}-{clock.now():%Y%m%d-%H%M}.kbbackup")
    files.refuse_unfit(target, option="--to", taken=archive.ANOTHER)
    word = _passphrase.Passphrases(passphrase_file, passphrase_fd).fresh(f"the backup {target}")
    with lock.hold(folder.root, "certs.backup"):
        count = archive.write(folder, target, word, now=clock.now())
    say(f"{target}: {counted(count, 'file')}, read back and compared. The keys of SSH are not in it.")


@task(
    auto_shortflags=False,
    help={"file": "what certs.backup wrote", "to": "the folder to restore; by default inventory/<its name>", **_BACKUP},
)
@reported
def restore(_: Context, file: str, to: str = "", passphrase_file: str = "", passphrase_fd: int = -1) -> None:
    """Give back what a backup holds and the folder lacks, byte for byte; refuses where something else is there. Asks no host."""
    from kbootstrap.store import backup as archive
    from kbootstrap.store import files, lock

    root = Path(to) if to else ROOT / archive.cluster(Path(file))
    members = archive.read(Path(file), _passphrase.Passphrases(passphrase_file, passphrase_fd)(f"the backup {file}"))
    files.make_folder(root)
    with lock.hold(root, "certs.restore"):
        count = archive.restore(members, root)
    say(f"{root}: {count} of {len(members)} files restored" + ("" if count else "; all of it was there"))
