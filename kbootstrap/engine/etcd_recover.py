"""``etcd.recover``: the quorum is lost for good, and one member's data is left. It is saved on this machine first; then all begin from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kbootstrap.engine import certs, cluster, etcd_refuse, etcd_restore, etcd_snapshot, etcd_status
from kbootstrap.engine.apply import raise_together
from kbootstrap.engine.certs_check import issued
from kbootstrap.engine.contact import contact
from kbootstrap.engine.etcd_restore import Asked, Outcome
from kbootstrap.engine.etcd_snapshot import Taken
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import KbError, PreflightError
from kbootstrap.model.events import Note
from kbootstrap.model.host import Host
from kbootstrap.plan import etcd_restore as words
from kbootstrap.plan import etcd_snapshot_sh
from kbootstrap.plan import etcd_status as asking
from kbootstrap.plan.etcd_recover import Survivor, ranked, silent
from kbootstrap.plan.etcd_restore import Restore
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.report.etcd import Member
from kbootstrap.store import clock, snapshots
from kbootstrap.store.lock import hold

WAKING_S: Final = 30.0
STILL_S: Final = 2.0
SLOWEST_BYTES_PER_S: Final = 50_000_000  # of a disk from which etcd reads all keys before it tells anything
_LOOK: Final = """\
ls {data}/member/wal/*.wal >/dev/null 2>&1 && [ -s {data}/member/snap/db ] || {{ echo empty; exit 0; }}
case $(systemctl show -p ActiveState --value etcd.service) in active|activating) runs=1 ;; *) runs=0 ;; esac
echo "data $(stat -c %s {data}/member/snap/db) $runs"
"""
_STOP: Final = "systemctl stop etcd.service\n"
_START: Final = "systemctl start --no-block --job-mode=ignore-dependencies etcd.service\n"


def recover(request: Request, asked: Asked) -> Outcome:
    """One command from a lost quorum to a cluster. PreflightError while there is a quorum, and when no master has data."""
    with hold(request.folder.root, "etcd.recover"):
        known = contact(request.folder)
        prepared = certs.wants(known, issued(request.folder))
        with request.connect(prepared) as pool:
            if (path := _under_way(prepared, pool)) is None:
                _refuse_quorum(prepared, pool)
                refuse_unready(prepared, pool)
                survivors, done = choose(prepared, pool)
                _refuse_quorum(prepared, pool)  # those that were stopped may have found each other
                if not asked.confirm(_told(prepared, survivors)):
                    return Outcome(restore=_some(prepared), applied=False, done=done)
                path = _save(request, prepared, pool, survivors[0]).path
            agreed = Asked(replace=asked.replace)
            return etcd_restore.work(request, prepared, pool, snapshots.check(path), agreed)


def _under_way(prepared: Prepared, pool: Pool) -> Path | None:
    """The snapshot whose restore was cut off behind the point of no return: going on with it is all that makes sense."""
    for path, sidecar in reversed(snapshots.known(prepared.folder.snapshots, prepared.state.cluster_id)):
        target = Restore(spec=prepared.spec, sha256=sidecar.sha256, size=sidecar.size)
        if not sidecar.quorum and words.begun(etcd_refuse.look(target, pool).values()):
            return path
    return None


def _refuse_quorum(prepared: Prepared, pool: Pool) -> None:
    if etcd_refuse.quorum(prepared, pool):
        raise PreflightError(
            "etcd has a quorum: there is nothing to recover",
            hint="A single member whose data is lost: invoke cluster.up; its host too: invoke node.replace.",
        )


def refuse_unready(prepared: Prepared, pool: Pool) -> None:
    """PreflightError, before anything is touched, for what keeps any restore from beginning. One that was cut off behind its SWAP and is not found
    by its snapshot was to other masters or addresses, or of another snapshot: what its members hold now is no survivor's data."""
    found = etcd_refuse.look(_some(prepared), pool)
    saved = [each for each in snapshots.known(prepared.folder.snapshots, prepared.state.cluster_id) if not each[1].quorum]
    newest = f" The newest of a survivor is {saved[-1][0]}, taken {saved[-1][1].taken}." if saved else ""
    etcd_refuse.others_begun(found, hint=f"With its snapshot, to today's masters: invoke etcd.restore SNAPSHOT --replace.{newest}")
    etcd_refuse.unready(_some(prepared), found, None)


def _some(prepared: Prepared) -> Restore:
    """A restore of nothing, where it is not known yet of what."""
    return Restore(spec=prepared.spec, sha256="0" * 64, size=0)


def choose(prepared: Prepared, pool: Pool) -> tuple[tuple[Survivor, ...], str]:
    """Who has data, the newest first, and what was done to hosts to find out. Members that are stopped are started for it: only a running one
    replays its log and says what it has. Those without data are stopped before: beside a survivor that is just starting, they begin anew, and could
    agree on an empty database."""
    outcomes = pool.map(_seen, prepared.spec.masters)
    etcd_refuse.unread(outcomes)
    found = answered(outcomes)
    having = [host for host in prepared.spec.masters if found[host.name][0]]
    empty = [host for host in prepared.spec.masters if host not in having]
    asleep = [host for host in having if not found[host.name][1]]
    if not having:
        hint = "Bring the disk of one back, or: invoke etcd.restore SNAPSHOT"
        raise PreflightError("no master has etcd's data any more; nothing was changed", hint=hint)
    if asleep:
        raise_together(failures(pool.map(lambda _, c: _run(c, _STOP), empty)))
        raise_together(failures(pool.map(lambda _, c: _run(c, _START), asleep)))
    replayed = pool.map(lambda host, connection: _replayed(connection, found[host.name][0]), having)
    raise_together(failures(replayed))
    survivors = ranked(each.get() for each in replayed.values())
    if mute := silent(survivors):
        aside = f"systemctl stop etcd && mv {words.DATA}/member {words.DATA}/given-up"
        hint = f"On it: journalctl -u etcd -n 50. If its data is surely not wanted, on it: {aside}. Then run this again."
        told = "; ".join(f"{each.host}: {each.told}" for each in survivors)
        raise PreflightError(f"etcd of {', '.join(mute)} does not tell how new its data is, and it may be the newest ({told})", hint=hint)
    return survivors, _done(asleep, empty) if asleep else ""


def _done(started: Sequence[Host], stopped: Sequence[Host]) -> str:
    begun, ended = (", ".join(host.name for host in hosts) for hosts in (started, stopped))
    return f"Nothing was restored. To see what is there, etcd was started on {begun}" + (f" and stopped on {ended}, without data." if ended else ".")


def _seen(host: Host, connection: Connection) -> tuple[int, bool]:
    """The size of the database, 0 where there is no data, and whether etcd runs."""
    del host
    word, size, runs = [*_run(connection, _LOOK.format(data=words.DATA)).split(), "0", "0"][:3]
    return (int(size), runs == "1") if word == "data" else (0, False)


def _run(connection: Connection, text: str) -> str:
    code, output, stderr = cluster.one(connection, text, deadline_s=120)
    if code != 0:
        raise KbError(f"{text.splitlines()[0]}: {stderr.strip()[-300:]}", host=connection.host)
    return output.decode()


def _replayed(connection: Connection, db_bytes: int) -> Survivor:
    """What a member has once its log is replayed: when what it tells stays the same for a while. Without a quorum etcd tells no number by which to
    know; what it told last when the time is over."""
    last, since = (-1, -1), clock.monotonic_s()
    end = since + WAKING_S + db_bytes / SLOWEST_BYTES_PER_S
    while (now := clock.monotonic_s()) < end:
        text = etcd_status.metrics(connection)
        found = (asking.counter(text, asking.REVISION), asking.counter(text, asking.APPLIED))
        if found != last:
            last, since = found, now
        elif found[0] > 0 and now - since >= STILL_S:
            break
        clock.pause(0.5)
    return Survivor(host=connection.host, revision=last[0], applied=last[1], db_bytes=db_bytes)


def _told(prepared: Prepared, survivors: Sequence[Survivor]) -> tuple[str, ...]:
    names, folder = ", ".join(host.name for host in prepared.spec.masters), prepared.folder.snapshots
    newest, *rest = survivors
    others = f" (also there: {'; '.join(f'{each.host}, {each.told}' for each in rest)})" if rest else ""
    return (
        f"{newest.host} has the newest data: {newest.told}{others}. First it is saved here, in {folder}.",
        f"On {names}: API servers, controllers and etcd stop; etcd begins anew from it; then all start again. Former data is renamed, not deleted.",
        "What the others had agreed to and it had not heard of is gone.",
    )


def _save(request: Request, prepared: Prepared, pool: Pool, survivor: Survivor) -> Taken:
    """By etcd itself while it serves; else from its file, which it closes for it: a member that was started without a quorum serves nobody."""
    host = prepared.spec.host(survivor.host)
    connection = pool.connection(host)
    seen: Mapping[str, Member] = {each.host: each for each in etcd_status.look(prepared, pool).members}
    member, folder = seen[host.name], prepared.folder.snapshots
    if not member.reason:
        try:
            text = etcd_snapshot_sh.save(host, survivor.db_bytes)
            return etcd_snapshot.stream(
                prepared, connection, text, request.listener, folder, member=Member(host=host.name, version=member.version, cluster=member.cluster)
            )
        except KbError as error:
            request.listener(Note(host=host.name, text=f"its etcd gives no snapshot ({error.message}): its file is copied", warning=True))
    return etcd_snapshot.stream(prepared, connection, etcd_snapshot_sh.copy(), request.listener, folder, member=member, seal=True)
