"""``secrets.rotate``: another key seals the secrets in etcd, while the cluster serves: all API servers can read by it, then write by it, every secret
is written anew, the old key goes.

How far a rotation is lies in the PKI directory (``pki.sealing.phase``) and, for what is rewritten, in etcd itself: each value names its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kbootstrap.engine import api, cluster
from kbootstrap.engine.certs_check import issued as issued_of
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.staged import Staged, Step, staged
from kbootstrap.engine.timing import stage
from kbootstrap.errors import ApplyError, CommandError, PreflightError, Problem, VerifyError, counted
from kbootstrap.model.events import Note
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.model.report import Result
from kbootstrap.pki import sealing
from kbootstrap.pki.sealing import Phase
from kbootstrap.plan import sealing as words
from kbootstrap.plan.sealing import Scan
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.lock import Owner
from kbootstrap.remote.lock import hold as hold_host
from kbootstrap.remote.pool import Pool
from kbootstrap.store.entropy import SystemEntropy

COMMAND: Final = "secrets.rotate"
READ, WRITE, REWRITE, DROP = "READ", "WRITE", "REWRITE", "DROP"
SCAN_S: Final = 600.0
PAGE_S: Final = 300.0
ROUNDS: Final = 5  # others create and delete secrets meanwhile
SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """*steps* were ahead; *counts*: key → how many secrets it seals, at the end."""

    steps: tuple[Step, ...]
    lines: tuple[str, ...] = ()
    agreed: bool = True
    results: tuple[Result, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def of_the_last(self) -> bool:
        """Just the rest of the rotation before was ahead: no key was made."""
        return [step.title for step in self.steps] == [DROP]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which key seals how many secrets. *writer* is the one that should, *strange* are secrets whose key nobody has."""

    writer: str
    phase: Phase
    counts: Mapping[str, int]
    strange: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.phase is Phase.IDLE and not self.counts.keys() - {self.writer}


def show(request: Request) -> Shown:
    """Read etcd; changes nothing."""
    known, pki = contact(request.folder), issued_of(request.folder)
    with request.connect(known) as pool:
        found = scan(known, pool)
    writer = pki.sealing.readers[0].name
    return Shown(writer=writer, phase=sealing.phase(pki.sealing), counts=found.counts, strange=found.strange(_names(pki)))


def run(request: Request, *, dry: bool = False) -> Outcome:
    """The whole rotation, or what of it is left. Nothing is written anywhere before the user said yes to the first step's plan."""
    with staged(request, COMMAND) as now:
        found = scan(now.known, now.pool)
        _refuse_strange(now.pki, found)
        before = sealing.undropped(now.pki.sealing)
        ahead = steps(now.pki, unfinished=now.unfinished(replace(now.pki, sealing=before) if before else None))
        lines = (*now.told(ahead), f"{counted(len(found.by), 'secret')}; sealed by {_told(found)}.")
        outcome = Outcome(steps=ahead, lines=lines, counts=found.counts)
        if dry:
            return outcome
        if not now.agreed(ahead, lines):
            return replace(outcome, agreed=False)
        return _Rotating(staged=now).all(outcome)


def steps(pki: Pki, *, unfinished: Sequence[str] = ()) -> tuple[Step, ...]:
    """What is ahead of *pki*. *unfinished* are masters that still read by the key that the last rotation dropped: then just its last step is
    done again."""
    found, now, phase = list[Step](), pki.sealing, sealing.phase(pki.sealing)
    if phase is Phase.IDLE and unfinished:
        return (_step(DROP, pki, f"the last rotation comes to its end on {', '.join(unfinished)}; no new key is made"),)
    if phase is Phase.IDLE:
        now = sealing.begin(now, SystemEntropy())
    if phase is not Phase.WRITE:
        found.append(_step(READ, replace(pki, sealing=now), f"API servers can read by a new key, {now.readers[1].name}"))
        now = sealing.promote(now)
    written = replace(pki, sealing=now)
    new, old = now.readers[0].name, now.readers[1].name
    found.append(_step(WRITE, written, f"API servers seal by {new}, and still read by {old}"))
    found.append(_step(REWRITE, written, f"every secret that {new} does not seal is written anew, as it is"))
    dropped = replace(pki, sealing=sealing.drop(now))
    found.append(_step(DROP, dropped, f"{old} reads no more; it stays in the PKI directory, for snapshots of its time"))
    return tuple(found)


def _step(title: str, pki: Pki, meaning: str) -> Step:
    return Step(title=title, meaning=meaning, pki=pki)


def _names(pki: Pki) -> list[str]:
    return [key.name for key in pki.sealing.readers]


def _told(found: Scan) -> str:
    return ", ".join(f"{key}: {count}" for key, count in found.counts.items()) or "none"


def _refuse_strange(pki: Pki, found: Scan) -> None:
    """PreflightError for secrets that no key of the PKI opens: behind a rotation nobody would know any more which key they had."""
    if strange := found.strange(_names(pki)):
        problems = [Problem(where=each, what="no API server can open it") for each in strange[:SHOWN]]
        hint = f"Put the key back that seals them; this PKI has {', '.join(_names(pki))}. Where it is lost for good, delete them."
        raise PreflightError(
            f"sealed by a key that is not here: {counted(len(strange), 'secret')}; nothing was changed", problems=problems, hint=hint
        )


def scan(known: Prepared, pool: Pool) -> Scan:
    """Every secret and its key, asked of the first member that answers. CommandError when none does."""
    why = ""
    for host in known.spec.masters:
        outcome = pool.map(_scan, [host])[host.name]
        if outcome.ok:
            return outcome.get()
        why = why or str(outcome.error)
    raise CommandError(f"etcd cannot be read: {why}", hint="invoke etcd.status")


def _scan(host: Host, connection: Connection) -> Scan:
    code, output, stderr = cluster.one(connection, words.scan(host), deadline_s=SCAN_S)
    if code != 0:
        raise CommandError(f"its secrets cannot be read: {stderr.strip()[-300:]}", host=host.name)
    return words.parse(output.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotating:
    """A rotation under way, on open connections."""

    staged: Staged

    def all(self, outcome: Outcome) -> Outcome:
        """Every step of *outcome*."""
        pki, results = self.staged.pki, tuple[Result, ...]()
        for step in outcome.steps:
            with stage(self.staged.request.listener, step.title):
                if step.title == DROP:
                    self._refuse_left(step.pki)
                if step.title == REWRITE:
                    self._rewrite(step.pki)
                else:
                    results = self.staged.bring(pki, step).results
            pki = step.pki
        self._opened()
        return replace(outcome, results=results, counts=self._scan().counts)

    def _scan(self) -> Scan:
        return scan(self.staged.known, self.staged.pool)

    def _refuse_left(self, after: Pki) -> None:
        """Nothing may be left that only a key opens which *after* does not have."""
        if left := self._scan().others(after.sealing.readers[0].name):
            raise VerifyError(
                f"still sealed by another key: {counted(len(left), 'secret')}, {', '.join(left[:SHOWN])}", hint="Run the same command again."
            )

    def _rewrite(self, pki: Pki) -> None:
        """ApplyError when secrets are left that cannot be written."""
        name, said = pki.sealing.readers[0].name, ""
        for _ in range(ROUNDS):
            left = self._scan().others(name)
            if not left:
                return
            self.staged.request.listener(Note(text=f"to write anew: {counted(len(left), 'secret')}"))
            said = self._written(left)
        if left := self._scan().others(name):
            problems = [Problem(where=path, what="is not sealed anew") for path in left[:SHOWN]]
            raise ApplyError(
                f"{counted(len(left), 'secret')} cannot be written: {said[-300:]}", problems=problems, hint="A webhook that refuses them?"
            )

    def _written(self, left: Sequence[str]) -> str:
        """*left* written through a healthy API server, on whose host they stay; what kubectl complained of."""
        host, said = api.healthy_master(self.staged.known, self.staged.pool), ""
        connection = self.staged.pool.connection(host)
        with hold_host(connection, Owner.here(COMMAND), take=self.staged.request.take_lock):
            for page in words.pages(left):
                _, _, stderr = cluster.one(connection, words.rewrite(host), page, deadline_s=PAGE_S)
                said = stderr.strip() or said
        return said

    def _opened(self) -> None:
        """Every API server opens every secret. VerifyError when one does not."""
        masters = self.staged.known.spec.masters
        outcomes = self.staged.pool.map(lambda host, connection: cluster.one(connection, words.readable(host), deadline_s=PAGE_S), masters)
        bad = {name: str(o.error) if o.error else o.get()[2].strip() for name, o in outcomes.items() if o.error or o.get()[0] != 0}
        if bad:
            problems = [Problem(where=name, what=f"its API server cannot open all secrets: {why[-300:]}") for name, why in bad.items()]
            raise VerifyError("not every API server opens every secret", problems=problems, hint="invoke secrets.show")
