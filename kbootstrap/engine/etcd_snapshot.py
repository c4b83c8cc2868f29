"""``etcd.snapshot``: a member's database, streamed over the connection that is there into a file of the operator's, verified at both ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kbootstrap.engine import etcd_status
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import span
from kbootstrap.errors import CommandError, PkiError, PreflightError
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.pki import Pki
from kbootstrap.model.snapshot import Snapshot, content
from kbootstrap.pki import inspect
from kbootstrap.plan import etcd_snapshot_sh as words
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.pool import Pool
from kbootstrap.report.etcd import EtcdStatus, Member
from kbootstrap.store import clock, pki_dir, snapshots, state
from kbootstrap.store.folder import Folder

IDLE_S: Final = 600.0  # a host hashes and checks the whole database before its first byte


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A snapshot that lies verified at *path*. *removed* are those that went for it."""

    path: Path
    snapshot: Snapshot
    removed: tuple[Path, ...] = ()


def snapshot(request: Request, *, to: Path | None = None, keep: int = 0) -> Taken:
    """Take one into *to* (default: ``snapshots`` in the cluster's folder), then keep the *keep* newest of this cluster there (0: all), and the
    one of its last upgrade.

    The cluster's lock is not needed: nothing of hosts or inventory changes. PreflightError when there is no quorum.
    """
    snapshots.refuse_keep(keep)
    known = contact(request.folder)
    if not known.state.cluster_id:
        raise PreflightError(f"{request.folder.state} names no cluster yet", hint="invoke cluster.up makes one.")
    folder = to or request.folder.snapshots
    snapshots.refuse_unfit(folder, given=to is not None)
    with request.connect(known) as pool:
        taken = take(known, pool, request.listener, folder)
    return replace(taken, removed=_pruned(request.folder, folder, known.state.cluster_id, keep)) if keep else taken


def _pruned(cluster: Folder, folder: Path, cluster_id: str, keep: int) -> tuple[Path, ...]:
    """Once an upgrade has begun, its snapshot is what leads back from it: it stays. The state is read now, as a run may have begun meanwhile."""
    rollout = state.load(cluster.state).rollout
    return tuple(snapshots.prune(folder, cluster_id, keep, needed=rollout.snapshot if rollout else ""))


def take(known: Prepared, pool: Pool, listener: Listener, folder: Path) -> Taken:
    """A snapshot from the healthy member that it disturbs least. PreflightError when there is no quorum."""
    found = etcd_status.look(known, pool)
    source = choose(found)
    if source is None:
        hint = "From the survivor's database: invoke etcd.recover. invoke etcd.status tells more."
        raise PreflightError("no member of etcd has a leader: a snapshot of now cannot be had", hint=hint)
    host = known.spec.host(source.host)
    return stream(known, pool.connection(host), words.save(host, source.db_bytes), listener, folder, member=source)


def choose(found: EtcdStatus) -> Member | None:
    """A follower without an alarm, the one that has applied most; the leader, who has enough to do, if there is no other."""
    bad = {alarm.member for alarm in found.alarms if alarm.kind == "CORRUPT"}
    fit = [member for member in found.following if member.id not in bad and not member.learner]
    return min(fit, key=lambda member: (member.leads, -member.applied), default=None)


def stream(
    known: Prepared, connection: Connection, program: str, listener: Listener, folder: Path, *, member: Member, seal: bool = False
) -> Taken:  # fmt: skip
    """Run *program* (of ``plan.etcd_snapshot_sh``) and keep what it writes. *seal*: it is a bare database, of a survivor."""
    pki = _own(known.folder, listener)
    with span(listener, "snapshot", connection.host):
        running = connection.run(program, deadline_s=2.0 * words.SAVING_S, idle_s=IDLE_S)
        lines = running.lines()
        first, numbers = next(lines, b""), next(lines, b"")
        try:
            said, (size, sha256) = content(first), numbers.decode().split(" ")
        except ValueError:
            done = running.finish()
            raise CommandError(f"no snapshot: {done.stderr.strip()[-400:] or first!r}", host=connection.host) from None
        now = clock.now()
        path = folder / f"{known.spec.name}-{now:%Y%m%dT%H%M%SZ}-{said.revision}{snapshots.SUFFIX}"
        about = Snapshot(
            cluster=known.spec.name,
            cluster_id=known.state.cluster_id,
            etcd_cluster_id=member.cluster,
            kubernetes=known.spec.kubernetes,
            etcd=member.version or said.version,
            revision=said.revision,
            keys=said.keys,
            size=int(size),
            sha256=sha256,
            cas=fingerprints(pki),
            sealed_by=tuple(key.fingerprint for key in pki.sealing.sealed),
            taken=now.isoformat(timespec="seconds"),
            by=Owner.here("").who,
            host=connection.host,
            quorum=not seal and bool(member.leader),
        )
        sidecar = snapshots.receive(path, lines, size=int(size), sha256=sha256, about=about, seal=seal)
        running.finish()
    return Taken(path=path, snapshot=sidecar)


def fingerprints(pki: Pki, *, former: bool = False) -> Mapping[str, tuple[str, ...]]:
    """CA → fingerprints of its certificates that are trusted; *former*: also of those that were, as far as that is known."""
    texts = {name: [pki.trust(name), *([pki.retired[name]] if former and name in pki.retired else [])] for name in pki.cas}
    return {name: tuple(inspect.fingerprint(one) for text in found for one in inspect.blocks(text)) for name, found in texts.items()}


def _own(folder: Folder, listener: Listener) -> Pki:
    """A sealed PKI directory without its passphrase is no reason not to have a backup."""
    try:
        return pki_dir.load(folder.pki)
    except PkiError as error:
        listener(Note(text=f"the sidecar names neither CAs nor the key of secrets: {error.message}", warning=True))
        return Pki()
