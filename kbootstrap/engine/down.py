"""``cluster.down``: every host's ledger is read, and exactly what it names is taken away again; all hosts at once, each in one stream.

The operator's files stay: with the same PKI and state a later ``up`` makes the same cluster again, empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kbootstrap.catalog import paths
from kbootstrap.engine import cluster
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, CommandError, KbError, PreflightError, Problem, counted
from kbootstrap.model.events import ChangeFinished, ChangeStarted, Listener
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Change
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.leaving import FORGET, Leaving, leave
from kbootstrap.plan.leaving_proof import SEEN
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.store import clock, entropy
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold

AGAIN = "Mend the cause and run the same command again; it goes on where it stopped."
STAYS = "stays "  # how a change says on its output that something is left

# With the lock's own file the last trace in memory goes. Whoever waits for the lock at this moment finds a host without a ledger.
_SWEEP = f"rm -rf -- {paths.RUN}\n"


def down(request: Request) -> Iterator[str]:
    """A line per host as it is done. PreflightError before anything is changed if a host belongs to another cluster; ApplyError at the end for
    the hosts that could not be reached or finished, the others being done."""
    with hold(request.folder.root, "cluster.down"):
        known = contact(request.folder)
        wanted = chosen(known.spec, request.limit)
        with request.connect(known) as pool:
            ledgers, errors = _read(pool, wanted)
            _refuse_others(ledgers, known.state.cluster_id)
            ours = [host for host in wanted if host.name in ledgers]
            outcomes = pool.map(lambda host, connection: leave_host(request, connection, host, ledgers[host.name]), ours)
        yield from (f"{name}: {said}" for name, said in answered(outcomes).items())
        errors += failures(outcomes)
        if errors:
            problems = [error.problem for error in errors]
            raise ApplyError(f"{len(errors)} of {len(wanted)} hosts are not done", problems=problems, hint=AGAIN)
        yield from _operator(request.folder)


def _read(pool: Pool, hosts: Sequence[Host]) -> tuple[dict[str, Ledger], list[KbError]]:
    outcomes = pool.map(lambda host, connection: read_ledger(connection), hosts)
    return answered(outcomes), failures(outcomes)


def read_ledger(connection: Connection) -> Ledger:
    code, output, stderr = cluster.one(connection, f"[ ! -e {paths.LEDGER} ] || cat {paths.LEDGER}\n", deadline_s=30)
    if code != 0:
        raise CommandError(f"{paths.LEDGER} cannot be read: {stderr.strip()[-300:]}", host=connection.host)
    return ledger_of.parse(output.decode("utf-8", "replace"), connection.host)


def _refuse_others(ledgers: dict[str, Ledger], cluster_id: str) -> None:
    foreign = {name: ledger for name, ledger in ledgers.items() if not ledger.empty and ledger.cluster_id != cluster_id}
    if foreign:
        hint = "Use that cluster's inventory (state.yml names the id); if it is given up: invoke cluster.down --foreign. Or leave it out: --limit."
        problems = [Problem(where=n, what=f"belongs to another cluster, «{ledger.cluster}» ({ledger.cluster_id})") for n, ledger in foreign.items()]
        raise PreflightError(f"{counted(len(foreign), 'host')} of another cluster; nothing was changed", problems=problems, hint=hint)


def leave_host(request: Request, connection: Connection, host: Host, ledger: Ledger, *, command: str = "cluster.down") -> str:
    """One host from its ledger to nothing, for *command*. What an earlier run left in memory goes too."""
    said = "nothing of ours was there"
    with hold_host(connection, Owner.here(command), take=request.take_lock):
        if not ledger.empty:
            way = leave(host.name, ledger, sysctl=host.host.sysctl)
            said = _summary(way, run(connection, way.changes, request.listener))
            _short(connection, FORGET)
    sweep(connection)
    return said


def sweep(connection: Connection) -> None:
    """What this run left in the host's memory."""
    _short(connection, _SWEEP)


def _short(connection: Connection, text: str) -> None:
    code, _, stderr = cluster.one(connection, f"set -e\n{text}", deadline_s=120)
    if code != 0:
        raise ApplyError(f"the last traces do not go: {stderr.strip()[-300:]}", host=connection.host, hint=AGAIN)


def run(connection: Connection, changes: Sequence[Change], listener: Listener) -> list[str]:
    """Every change is tried, so that one obstacle shows up with all others; ApplyError names them. Gives what the host says that stays."""
    marker = entropy.marker()
    steps = [(change.key, f"set -e\n{change.commands}", change.deadline_s) for change in changes]
    running = connection.run(fuse.change_program(steps, marker, keep_going=True), deadline_s=sum(c.deadline_s for c in changes) + 30)
    ended: dict[str, fuse.Ended] = {}
    began = clock.monotonic_s()
    for event in fuse.follow(running.lines(), marker):
        if isinstance(event, fuse.Begun):
            began = clock.monotonic_s()
            listener(ChangeStarted(host=connection.host, change_id=event.id))
            continue
        ended[event.id] = event
        took = clock.monotonic_s() - began
        listener(ChangeFinished(host=connection.host, change_id=event.id, exit_code=event.exit_code, output=_text(event), seconds=took))
    finished = running.finish()
    failed = [f"{name} ({event.exit_code}): {_text(event)}" for name, event in ended.items() if event.exit_code != 0]
    if len(ended) != len(changes):
        failed.append(f"the stream ended early: {finished.stderr.strip()[-300:]}")
    if failed:
        raise ApplyError("; ".join(failed), host=connection.host, hint=AGAIN)
    said = [line for event in ended.values() for line in _text(event).splitlines()]
    return [line.removeprefix(STAYS) for line in said if line.startswith(STAYS)]


def _text(event: fuse.Ended) -> str:
    return event.output.decode("utf-8", "replace").strip()


def _summary(way: Leaving, stays: Sequence[str]) -> str:
    """``removed 97 files, 9 units, …; restored /etc/x; stays: package haproxy; looked again …``. The proof was the last of the steps."""
    removed = ", ".join(counted(count, what) for what, count in way.removes.items() if count)
    parts = [f"removed {removed or 'nothing'}"]
    parts += [f"restored {', '.join(way.restores)}"] if way.restores else []
    left = [*way.stays, *stays]
    parts += [f"stays: {'; '.join(left)}"] if left else []
    return "; ".join([*parts, f"looked again at {SEEN}: nothing of ours is left"])


def _operator(folder: Folder) -> Iterator[str]:
    kept = [path for path in (folder.pki, folder.state, folder.admin_conf) if path.exists()]
    if kept:
        yield f"On this machine stay {', '.join(map(str, kept))}: invoke cluster.up makes the same cluster again, without its data."
