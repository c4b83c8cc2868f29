"""``etcd.restore``: all members anew from one snapshot, in steps of which each is finished everywhere before the next begins.

Up to the step SWAP nothing has changed but that services are stopped; behind it the same command goes on where it was cut off, because each host's
folders tell how far it is (``plan.etcd_restore``). Nothing that was there is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from kbootstrap.catalog import paths
from kbootstrap.engine import api, certs, cluster, health
from kbootstrap.engine import etcd_refuse as refuse
from kbootstrap.engine.apply import raise_together, run_steps
from kbootstrap.engine.certs_check import issued
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.push import Push
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import stage
from kbootstrap.errors import ApplyError, PreflightError, VerifyError
from kbootstrap.model.events import Note
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Action
from kbootstrap.model.report import Result
from kbootstrap.model.resource import Blob, File
from kbootstrap.model.sealing import SealKey
from kbootstrap.pki import sealing
from kbootstrap.plan import etcd_restore as words
from kbootstrap.plan import etcd_restore_sh as texts
from kbootstrap.plan.etcd_restore import Counted, Phase, Restore, Seen
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool, answered, failures
from kbootstrap.resources import file as file_kind
from kbootstrap.resources.difference import Difference
from kbootstrap.store import clock, pki_dir, snapshots
from kbootstrap.store.lock import hold
from kbootstrap.store.snapshots import Checked

T = TypeVar("T")
AGAIN: Final = "Run the same command again; it goes on where it stopped."
HASHES_S: Final = 30.0
STEP_S: Final = 300.0
SLOWEST_BYTES_PER_S: Final = 5_000_000  # of a disk that restores


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*replace*: although there is a quorum. *foreign*: a file without a sidecar is believed to be this cluster's. *confirm* is asked with what will
    happen, before anything does."""

    replace: bool = False
    foreign: bool = False
    confirm: Callable[[Sequence[str]], bool] = lambda lines: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """*old* says where each host's former data lies. *applied*: False when somebody said no, or when nothing was left to do. *done*: what was
    changed all the same, before the question."""

    restore: Restore
    applied: bool
    already: str = ""
    done: str = ""
    results: tuple[Result, ...] = ()
    old: Mapping[str, str] = field(default_factory=dict)


def restore(request: Request, path: Path, asked: Asked) -> Outcome:
    """Bring etcd of all masters to what *path* holds. PreflightError, before anything changes, for what must not be restored, or not now."""
    with hold(request.folder.root, "etcd.restore"):
        known = contact(request.folder)
        checked = snapshots.check(path)
        prepared = certs.wants(known, issued(request.folder))
        refuse.foreign(prepared, checked, believed=asked.foreign)
        back = refuse.sealed(prepared, checked)
        with request.connect(prepared) as pool:
            return work(request, prepared, pool, checked, asked, back=back)


def work(request: Request, prepared: Prepared, pool: Pool, checked: Checked, asked: Asked, *, back: SealKey | None = None) -> Outcome:
    """``restore`` behind what needs no host; *back* is the retired key that reads again. The caller holds the cluster's lock."""
    target = Restore(spec=prepared.spec, sha256=checked.sha256, size=checked.size)
    found = refuse.look(target, pool)
    goes_on = words.begun(found.values())
    refuse.unready(target, found, checked.sidecar)
    if not goes_on:
        quorum = refuse.quorum(prepared, pool)
        done = [each.done[-1] for each in found.values() if each.phase is Phase.DONE]
        if quorum and len(done) == len(found) and not asked.replace:
            return Outcome(restore=target, applied=False, already=max(done))
        if quorum and not asked.replace:
            hint = "All that was written since would be lost. If that is meant: --replace. A single member whose data is lost: invoke cluster.up."
            raise PreflightError("etcd has a quorum: there is nothing to recover; nothing was changed", hint=hint)
        if not asked.replace:
            refuse.others_begun(found, hint="Or give it up: --replace keeps its data, too.")
        if not asked.confirm(tuple(refuse.explain(target, checked, quorum=quorum, back=back.name if back else ""))):
            return Outcome(restore=target, applied=False)
    else:
        request.listener(Note(text=f"a restore of this snapshot is under way ({target.id}): going on where it stopped"))
    with _locked(request, pool, target):
        prepared = _readmitted(request, prepared, back) if back else prepared
        return _Restoring(request=request, prepared=prepared, pool=pool, target=target, checked=checked).all(found)


def _readmitted(request: Request, prepared: Prepared, key: SealKey) -> Prepared:
    """*prepared* with *key* among those that read, on this machine's disk; masters get it before their API servers start."""
    after = replace(prepared.pki, sealing=sealing.readmit(prepared.pki.sealing, key))
    pki_dir.replace(request.folder.pki, prepared.pki, after, ())
    return certs.wants(prepared, after)


@contextmanager
def _locked(request: Request, pool: Pool, target: Restore) -> Iterator[None]:
    owner = Owner.here("etcd.restore")
    with ExitStack() as stack:
        for host in target.spec.masters:
            stack.enter_context(hold_host(pool.connection(host), owner, take=request.take_lock))
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class _Restoring:
    """A restore under way, on open connections and locked hosts."""

    request: Request
    prepared: Prepared
    pool: Pool
    target: Restore
    checked: Checked

    def all(self, found: Mapping[str, Seen]) -> Outcome:
        """Every step that is left."""
        masters, target = self.target.spec.masters, self.target
        self._refuse_lost(found)
        time = f"{clock.now():%Y%m%dT%H%M%SZ}"
        bare = [] if words.begun(found.values()) else [host for host in masters if found[host.name].phase is not Phase.STAGED]
        seconds = STEP_S + self.checked.size / SLOWEST_BYTES_PER_S
        self._step("UPLOAD", bare, lambda host, connection: self._upload(connection))
        self._step("STAGE", bare, lambda host, connection: self._run(connection, "stage", texts.stage(target, host), seconds))
        alone = not any(each.api_active for each in found.values())
        if not words.swapped(found.values()):
            self._step("STOP", masters, lambda host, connection: self._run(connection, "stop", texts.stop(), STEP_S))
            self._step("SWAP", masters, lambda host, connection: self._run(connection, "swap", texts.swap(target, time), STEP_S))
            alone = True
        self._step("ETCD", masters, self._etcd)
        counted = self._step("KEYS", masters, lambda host, connection: self._counted(host, connection, alone=alone))
        self._same(counted)
        self._step("SEALING", masters, self._sealing)
        self._step("CONTROL_PLANE", masters, lambda host, connection: self._run(connection, "apiserver", texts.api(host), STEP_S))
        self._step("CONTROLLERS", masters, lambda host, connection: self._run(connection, "controllers", texts.controllers(), STEP_S))
        results = self._verified()
        self._step("FINISH", masters, lambda host, connection: self._run(connection, "finish", texts.finish(target, time), STEP_S))
        return Outcome(restore=target, applied=True, results=results, old={host.name: f"{words.DATA}/before-{time}-{target.id}" for host in masters})

    def _refuse_lost(self, found: Mapping[str, Seen]) -> None:
        """A member that was swapped in may have answered for what it no longer has: it must not be made a second time among running ones."""
        if words.begun(found.values()) and (lost := [each.host for each in found.values() if each.phase is Phase.NOTHING]):
            hint = f"To begin anew, rename {self.target.work} on the other masters, and run it again."
            raise ApplyError(f"{', '.join(lost)} lost its data in the middle of this restore", hint=hint)

    def _step(self, name: str, hosts: Sequence[Host], work: Callable[[Host, Connection], T]) -> dict[str, T]:
        """One step on *hosts* together; ApplyError names all that failed, and no further step begins."""
        if not hosts:
            return {}
        with stage(self.request.listener, name):
            outcomes = self.pool.map(work, hosts)
            raise_together(failures(outcomes))
        return answered(outcomes)

    def _run(self, connection: Connection, name: str, text: str, deadline_s: float) -> None:
        run_steps(connection, [(f"etcd.restore/{name}", text, deadline_s)], b"", self.request.listener)

    def _upload(self, connection: Connection) -> None:
        blob = Blob(sha256=self.checked.sha256, size=self.checked.size, path=self.checked.path)
        push = Push(connection, [blob], self.request.listener).start()
        push.wait(blob.sha256)

    def _etcd(self, host: Host, connection: Connection) -> None:
        self._run(connection, "start", texts.start(), STEP_S)
        self._run(connection, "serving", texts.serving(host), STEP_S)

    def _sealing(self, host: Host, connection: Connection) -> None:
        """The API server gets every key that what was restored may be sealed by; one that was never installed is left to ``cluster.up``."""
        want = next(r for r in self.prepared.desired.resources(host.name) if isinstance(r, File) and r.name == paths.ENCRYPTION_CONFIG)
        order = file_kind.commands(want, Difference(action=Action.UPDATE, reason="restored"))
        text = f"if [ ! -e {want.name} ]; then head -c {len(order.payload)} >/dev/null; else\n{order.text}fi\n"
        run_steps(connection, [("etcd.restore/sealing", text, STEP_S)], order.payload, self.request.listener)

    def _counted(self, host: Host, connection: Connection, *, alone: bool) -> Counted | None:
        """What the member of *host* holds, which must be all of the snapshot. *alone*: nobody has written yet, so nothing more, either; None else."""
        end = clock.monotonic_s() + HASHES_S
        while True:
            code, output, stderr = cluster.one(connection, texts.count(host), deadline_s=150)
            if code == 0:
                break
            if clock.monotonic_s() > end:
                raise ApplyError(f"its keys cannot be counted: {stderr.strip()[-300:]}", host=host.name, hint=AGAIN)
            clock.pause(0.5)
        try:
            found, side = words.counted(output.decode("utf-8", "replace")), self.checked.sidecar
        except ValueError as error:
            raise ApplyError(f"its keys cannot be counted: {error}", host=host.name, hint=AGAIN) from None
        if side is not None and not words.complete(found, side, alone=alone):
            what = f"revision {found.revision} and {found.keys} keys; the snapshot has {side.revision} (+ {words.BUMP}) and {side.keys}"
            raise VerifyError(what, host=host.name, hint="API servers are still stopped. invoke etcd.status")
        return found if alone else None

    def _same(self, counted: Mapping[str, Counted | None]) -> None:
        if None not in counted.values() and len(set(counted.values())) > 1:
            told = "; ".join(f"{host} {each}" for host, each in counted.items())
            raise VerifyError(f"the members differ: {told}", hint="API servers are still stopped. invoke etcd.status")

    def _verified(self) -> tuple[Result, ...]:
        """What is sealed can be opened; etcd and all else is asked. VerifyError if etcd is not well: the folders still say «begun» then."""
        names = [host.name for host in self.prepared.spec.hosts]
        leader = api.healthy_master(self.prepared, self.pool)
        self._step("OBJECTS", [leader], lambda host, connection: self._run(connection, "readable", texts.readable(host), STEP_S))
        results = [*health.settled(self.prepared, self.pool, names), *api.wait_ready(self.prepared, self.pool, None, names, patient=True)]
        if bad := [result for result in results if not result.ok and result.check == "etcd"]:
            problems = [result.problem for result in bad]
            raise VerifyError("etcd was restored and is not well", problems=problems, hint=AGAIN)
        return tuple(results)
