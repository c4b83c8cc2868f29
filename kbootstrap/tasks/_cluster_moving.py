"""``cluster.export`` and ``cluster.import``. ``cluster.py`` lists them beside the others."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks import _passphrase
from kbootstrap.tasks._common import CLUSTER_HELP, ROOT, find_folder, reported, say

_WORD = {
    "passphrase_file": "a file of mode 0600 whose first line is the passphrase of the archive; else the terminal is asked",
    "passphrase_fd": "read that passphrase from this file descriptor",
}


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "to": "the new file to write",
        "snapshot": "take a snapshot of etcd first and put it in; this reads a master",
        "ask_sudo_password": "ask for sudo's password",
        "sudo_password_fd": "read sudo's password from this file descriptor",
        **_WORD,
    },
)
@reported
def export(
    _: Context, to: str = "", cluster: str = "", snapshot: bool = False, passphrase_file: str = "", passphrase_fd: int = -1,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Write all that another operator needs (inventory, PKI, state, known hosts) into one encrypted file, read back to prove it."""
    from kbootstrap.engine import moving
    from kbootstrap.store import backup, clock, files
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    target = Path(to) if to else Path(f"{folder.name}-{clock.now():%Y%m%d-%H%M}.kbexport")
    files.refuse_unfit(target, option="--to", taken=backup.ANOTHER)
    word = _passphrase.Passphrases(passphrase_file, passphrase_fd).fresh(f"the archive {target}")
    if snapshot:
        with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd) as request:
            count = moving.export(folder, target, word, now=clock.now(), request=request)
    else:
        count = moving.export(folder, target, word, now=clock.now(), request=None)
    say(f"{target}: {count} files{', a snapshot of etcd among them' if snapshot else ''}, read back and compared. The keys of SSH are not in it.")
    say(f"On the other machine: invoke cluster.import {target.name}")


@task(
    auto_shortflags=False,
    name="import",
    positional=["file"],
    help={"file": "what cluster.export wrote", "to": "the folder to make; by default inventory/<its name>", **_WORD},
)
@reported
def import_(_: Context, file: str, to: str = "", passphrase_file: str = "", passphrase_fd: int = -1) -> None:
    """Take over a cluster from another operator's machine: unpack, verify, and say what is still missing here. Asks no host."""
    from kbootstrap.engine import moving
    from kbootstrap.store import backup, vault
    from kbootstrap.store.folder import Folder

    source = Path(file)
    root = Path(to) if to else ROOT / backup.cluster(source)
    word = _passphrase.Passphrases(passphrase_file, passphrase_fd)(f"the archive {file}")
    total, count = moving.arrive(source, word, root)
    say(f"{root}: {count} of {total} files written, and verified" if count else f"{root}: all {total} files were there, and are verified")
    if vault.is_sealed(Folder(root=root).pki):
        say("Its PKI is sealed by a passphrase of its own: its files came whole, what is in them was not read.")
    if missing := list(moving.lacking(Folder(root=root))):
        say("cluster.yml names what is not in the archive and not on this machine; bring it, or name your own:")
        for line in missing:
            say(f"  {line}")
    say(f"Next: invoke cluster.plan{f' --cluster {root.name}' if root.parent == ROOT else ''}; it should find nothing to do.")
