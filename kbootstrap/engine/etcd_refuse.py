"""What keeps a snapshot from being restored, found before anything changes, and what is told to who is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kbootstrap.engine import cluster, etcd, etcd_status
from kbootstrap.engine.etcd_snapshot import fingerprints
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, ConnectError, PreflightError, Problem
from kbootstrap.model.host import Host
from kbootstrap.model.sealing import SealKey
from kbootstrap.model.snapshot import Snapshot
from kbootstrap.pki.sealing import Phase, phase
from kbootstrap.plan import etcd_restore as words
from kbootstrap.plan import etcd_restore_sh
from kbootstrap.plan.etcd_restore import Restore, Seen
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Outcome, Pool, answered, failures
from kbootstrap.store import clock
from kbootstrap.store.snapshots import Checked

BELIEVES_S: Final = 15.0


def foreign(prepared: Prepared, checked: Checked, *, believed: bool) -> None:
    """PreflightError for a snapshot of another cluster (its secrets are sealed with another key, its objects would meet strange hosts), and for
    one without a sidecar unless it is *believed* to be ours."""
    found, name = checked.sidecar, prepared.spec.name
    if found is None:
        if not believed:
            hint = "If it surely is of this cluster: --without-sidecar."
            raise PreflightError(f"{checked.path} has no sidecar, so nothing tells of which cluster it is", hint=hint)
        return
    if found.cluster_id != prepared.state.cluster_id:
        hint = f"The id is in state.yml; this inventory's is {prepared.state.cluster_id}. Its own snapshots: ls {prepared.folder.snapshots}"
        raise PreflightError(f"{checked.path} is of another cluster, «{found.cluster}» ({found.cluster_id}), not of «{name}»", hint=hint)
    mine = fingerprints(prepared.pki, former=True)
    for ca in sorted(set(mine) & set(found.cas)):
        if not set(mine[ca]) & set(found.cas[ca]):
            what = (
                f"{checked.path} was taken under another {ca} ({found.cas[ca][0][:16]}; this PKI knows {', '.join(each[:16] for each in mine[ca])})"
            )
            raise PreflightError(what, hint="Restore the PKI directory of that time, too: invoke certs.check compares it with the hosts.")


def sealed(prepared: Prepared, checked: Checked) -> SealKey | None:
    """The retired key that must read again for what is restored; None where the present ones open it all, or nobody knows. PreflightError when the
    key is not here: no API server could open a secret, nor would any become ready."""
    needed = set(checked.sidecar.sealed_by if checked.sidecar else ()) - {key.fingerprint for key in prepared.pki.sealing.readers}
    retired = [key for key in prepared.pki.sealing.retired if key.fingerprint in needed]
    if lost := needed - {key.fingerprint for key in retired}:
        what = f"the secrets in {checked.path} are sealed by a key that this PKI does not have ({', '.join(sorted(lost))}); nothing was changed"
        raise PreflightError(what, hint="It is in the backups of that time (encryption.key): bring that PKI directory back: invoke certs.restore.")
    if retired and (len(retired) > 1 or phase(prepared.pki.sealing) is not Phase.IDLE):
        raise PreflightError(f"{checked.path} needs a retired key, while another is replaced; nothing was changed", hint="invoke secrets.rotate")
    return next(iter(retired), None)


def look(target: Restore, pool: Pool) -> dict[str, Seen]:
    """Every master as a restore finds it. ConnectError if one cannot be read: it would come back with the old data."""

    def read(host: Host, connection: Connection) -> Seen:
        code, output, stderr = cluster.one(connection, etcd_restore_sh.look(target, host), deadline_s=60)
        if code != 0:
            raise ApplyError(f"cannot be read: {stderr.strip()[-300:]}", host=host.name)
        return words.seen(host.name, output.decode())

    outcomes = pool.map(read, target.spec.masters)
    unread(outcomes)
    return answered(outcomes)


def quorum(prepared: Prepared, pool: Pool) -> bool:
    """Whether etcd has one. A member goes on following a leader that died for the time of an election, so that is no proof at once; but where
    sshd forbids to dial, and nothing could be read, it is all there is."""
    if etcd.has_quorum(prepared, pool):
        return True
    end = clock.monotonic_s() + BELIEVES_S
    while etcd_status.look(prepared, pool).quorum:
        if clock.monotonic_s() > end:
            return True
        clock.pause(0.5)
    return False


def unread(outcomes: Mapping[str, Outcome[Any]]) -> None:
    """ConnectError if a master could not be read. One that is dead for good is given up by who takes it out of cluster.yml, and by nobody else: its
    data may be the newest."""
    if bad := failures(outcomes):
        problems = [error.problem for error in bad]
        hint = "Bring it back, or take it out of cluster.yml: an odd number of masters must remain. It can join again later."
        raise ConnectError("a restore needs every master of the inventory; nothing was changed", problems=problems, hint=hint)


def unready(target: Restore, found: Mapping[str, Seen], sidecar: Snapshot | None) -> None:
    """PreflightError with all that masters lack."""
    rows = [(each.host, what, hint) for each in found.values() for what, hint in words.refusals(target, each, sidecar)]
    strange = sorted({flag for host in target.spec.masters for flag in host.extra_args.get("etcd", {}) if flag in ("data-dir", "wal-dir", "name")})
    rows += [("cluster.yml", f"extra_args of etcd set {flag}, which a restore does not follow", "Restore by hand with etcdutl.") for flag in strange]
    if rows:
        problems = [Problem(where=where, what=what, hint=hint) for where, what, hint in rows]
        raise PreflightError("the masters are not ready for a restore; nothing was restored", problems=problems)


def others_begun(found: Mapping[str, Seen], *, hint: str) -> None:
    """PreflightError where a restore of something else, or to other masters, was cut off behind its SWAP."""
    if others := {each.host: each.others for each in found.values() if each.others}:
        problems = [Problem(where=host, what=f"another restore was begun and not finished ({', '.join(ids)})") for host, ids in others.items()]
        raise PreflightError("finish that one first; nothing was changed", problems=problems, hint=hint)


def explain(target: Restore, checked: Checked, *, quorum: bool, back: str = "") -> Iterator[str]:
    """What will happen, for who is asked."""
    side = checked.sidecar
    about = _about(side) if side else "nothing is known of it but its hash"
    yield f"{checked.path}: {about}"
    names = ", ".join(host.name for host in target.spec.masters)
    yield f"On {names}: API servers, controllers and etcd stop; etcd begins anew from it; all start again."
    if back:
        yield f"Its secrets are sealed by {back}, which was rotated out: it reads again. invoke secrets.rotate then ends it once more."
    yield "Whatever was written later is gone." + (" etcd has a quorum now: what it serves at this moment is given up." if quorum else "")


def _about(side: Snapshot) -> str:
    return f"taken {side.taken} from {side.host}, {side.keys} keys, revision {side.revision}" + (
        "" if side.quorum else ", of a survivor without a quorum"
    )
