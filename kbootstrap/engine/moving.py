"""A cluster's files leave for another operator's machine, and arrive there: ``cluster.export`` and ``cluster.import``. No host is changed.

The archive is the one of ``certs.backup``, and may hold a snapshot of etcd. What else a machine needs to work on the cluster it has of its own: keys
of SSH, passwords of sudo. What of it ``cluster.yml`` names and is not there is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from kbootstrap import inventory
from kbootstrap.engine import etcd_snapshot
from kbootstrap.engine.request import Request
from kbootstrap.errors import InventoryError, KbError, PkiError, Problem
from kbootstrap.model.host import Host
from kbootstrap.store import backup, lock, pki_dir, snapshots, state, vault
from kbootstrap.store.folder import Folder


def export(folder: Folder, target: Path, word: bytes, *, now: datetime, request: Request | None) -> int:
    """Write the sealed archive *target*; how many files it holds. With *request* a fresh snapshot of etcd is taken first, and is among them.

    Raises what ``backup.write`` raises; InventoryError when the inventory is not one that another machine could use.
    """
    inventory.load(folder.cluster_yml)
    if not state.load(folder.state).cluster_id:
        raise InventoryError(f"{folder.state} names no cluster yet: there is nothing to hand over", hint="invoke cluster.up makes one.")
    also: tuple[Path, ...] = ()
    if request is not None:
        path = etcd_snapshot.snapshot(request).path
        also = (path, path.with_suffix(snapshots.SIDECAR))
    with lock.hold(folder.root, "cluster.export"):
        return backup.write(folder, target, word, also, now=now)


def arrive(source: Path, word: bytes, root: Path) -> tuple[int, int]:
    """Put the archive *source* into the folder *root*, which must hold no cluster; of how many files how many were missing.

    What is in it is read as every command will read it, beside *root* and before anything is there: inventory, state, certificates (but for a sealed
    PKI, which only its own passphrase opens), snapshots.
    """
    members = backup.read(source, word)
    for name in ("cluster.yml", "state.yml"):
        if name not in members:
            raise PkiError(f"{source} holds no {name}", hint="It is a backup of something else; take another with invoke cluster.export.")
    with backup.unpacked(members, root) as new:
        try:
            _refuse_damaged(Folder(root=new), members)
        except KbError as error:
            raise _of_the_archive(error, source, new) from error
        count = backup.arrive(members, new, root)
    return len(members), count


def _refuse_damaged(folder: Folder, members: Iterable[str]) -> None:
    inventory.load(folder.cluster_yml)
    state.load(folder.state)
    if not vault.is_sealed(folder.pki):
        pki_dir.load(folder.pki)
    for name in members:
        if name.endswith(snapshots.SUFFIX) and name.startswith(f"{folder.snapshots.name}/"):
            snapshots.check(folder.root / name)


def _of_the_archive(error: KbError, source: Path, new: Path) -> KbError:
    """*error*, told of the file that the user named: *new* is gone by then."""

    def told(text: str) -> str:
        return text.replace(f"{new}/", "")

    problems = [Problem(where=told(each.where), what=told(each.what), hint=told(each.hint)) for each in error.problems]
    return type(error)(f"{source}: {told(error.message)}; nothing was written", hint=told(error.hint), problems=problems)


def lacking(folder: Folder) -> Iterator[str]:
    """What cluster.yml names and this machine has not got, a line each."""
    spec = inventory.load(folder.cluster_yml)
    wanted: dict[Path, list[str]] = {}
    for host in spec.hosts:
        for path in _files(host):
            wanted.setdefault(path, []).append(host.name)
    if spec.certificates.passphrase_file is not None:
        wanted.setdefault(spec.certificates.passphrase_file, []).append("the PKI's passphrase")
    for path, names in wanted.items():
        if not path.exists():
            yield f"{path} ({', '.join(names)})"


def _files(host: Host) -> Iterator[Path]:
    bastion = host.ssh.bastion
    for path in (host.ssh.key, host.ssh.sudo.password_file, bastion.key if bastion else None):
        if path is not None:
            yield path
