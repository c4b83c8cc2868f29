"""A change of the PKI in several steps while the cluster serves: each is written on this machine, brought to the hosts, and proven before the next.

What is left of it can be read from the PKI on the disk, so the same command goes on wherever it was interrupted. ``certs.rotate`` and
``secrets.rotate`` differ in their steps, and in what follows each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kbootstrap.engine import certs
from kbootstrap.engine.certs_check import issued as issued_of
from kbootstrap.engine.contact import contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import VerifyError, counted
from kbootstrap.model.events import Note
from kbootstrap.model.facts import Observed
from kbootstrap.model.pki import Issued, Pki
from kbootstrap.model.plan import Plan
from kbootstrap.model.report import Result
from kbootstrap.model.resource import File, Service
from kbootstrap.plan.outdated import outdated
from kbootstrap.remote.pool import Pool
from kbootstrap.store import pki_dir
from kbootstrap.store.lock import hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of the PKI; *pki* is what it is afterwards."""

    title: str
    meaning: str
    pki: Pki
    issued: tuple[Issued, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What the hosts want of the PKI now, those that were read, and what the checks said."""

    prepared: Prepared
    hosts: tuple[str, ...]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """*pki* is on this machine's disk, *prepared* what it wants of the hosts; *plan* is what they lack of it, *observed* what they have."""

    request: Request
    command: str
    known: Prepared
    pki: Pki
    prepared: Prepared
    pool: Pool
    plan: Plan
    observed: Mapping[str, Observed]

    def unfinished(self, before: Pki | None) -> tuple[str, ...]:
        """The hosts that still have what *before* wanted, the PKI that the last change ended: it was killed, or they were off."""
        return outdated(certs.wants(self.known, before).desired, self.prepared.desired, self.observed) if before else ()

    def agreed(self, ahead: Sequence[Step], lines: Sequence[str]) -> bool:
        """Whether the user, who was shown *lines*, said yes to the plan of the first step. Nothing is written anywhere before."""
        for line in lines:
            self.request.listener(Note(text=line))
        first = certs.look(self.request, certs.wants(self.known, ahead[0].pki), self.pool, again=True)
        return self.request.confirm(first.plan)

    def bring(self, before: Pki, step: Step) -> Brought:
        """One change: on this machine's disk, on the hosts, proven. VerifyError when a check fails."""
        certs.tell(self.request.listener, step.issued, verb="issued")
        if step.pki != before:
            pki_dir.replace(self.request.folder.pki, before, step.pki, step.issued)
        prepared = certs.wants(self.known, step.pki, step.issued)
        found = certs.look(self.request, prepared, self.pool, again=True)
        results = certs.install(self.request, prepared, self.pool, found, command=self.command)
        if bad := [result for result in results if not result.ok]:
            problems = [result.problem for result in bad]
            raise VerifyError(f"{len(bad)} checks failed behind {step.title}", problems=problems, hint="Mend them; the same command then goes on.")
        return Brought(prepared=prepared, hosts=tuple(found.observed), results=results)

    def told(self, ahead: Sequence[Step], users: Sequence[str] = ()) -> Iterator[str]:
        """What each of the steps *ahead* changes: the first is compared with what lies on the hosts, the others with the one before.
        *users* lose their kubeconfigs with the last."""
        before = self.prepared
        for number, step in enumerate(ahead, 1):
            after = certs.wants(self.known, step.pki)
            again = f", {counted(sum(1 for _ in self.plan.changes()), 'change')} of it not yet done" if number == 1 and not self.plan.empty else ""
            again += f"; {', '.join(users)} must be issued anew" if users and step is ahead[-1] else ""
            signed = f"{counted(len(step.issued), 'signature')}, " if step.issued else ""
            yield f"{step.title}: {step.meaning}{again}. {signed}{_changed(before, after)}."
            before = after


def _changed(before: Prepared, after: Prepared) -> str:
    units: dict[str, list[str]] = {}
    files = 0
    for host in after.spec.hosts:
        there = {resource.key: resource for resource in before.desired.resources(host.name)}
        changed = [resource for resource in after.desired.resources(host.name) if there.get(resource.key) != resource]
        files += sum(isinstance(resource, File) for resource in changed)
        for unit in (resource.name.removesuffix(".service") for resource in changed if isinstance(resource, Service)):
            units.setdefault(unit, []).append(host.name)
    return f"{counted(files, 'file')}; restarts " + ("; ".join(f"{unit} on {', '.join(hosts)}" for unit, hosts in units.items()) or "nothing")


@contextmanager
def staged(request: Request, command: str) -> Iterator[Staged]:
    """The cluster's lock and open connections, and the first look at the hosts."""
    with hold(request.folder.root, command):
        known, pki = contact(request.folder), issued_of(request.folder)
        prepared = certs.wants(known, pki)
        with request.connect(prepared) as pool:
            found = certs.look(request, prepared, pool)
            yield Staged(
                request=request, command=command, known=known, pki=pki, prepared=prepared, pool=pool, plan=found.plan, observed=found.observed
            )
