"""Fit or not: every host read once, every check on all of them, everything told at once. ``run.look`` and the task ``preflight.run`` share it.

Alone it needs the inventory, but no artifacts and no certificates: it may be run long before anything is fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kbootstrap.engine import gather
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.known_pki import ca_files_sha256, known_pki
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.timing import span
from kbootstrap.errors import KbError, PreflightError, Problem, counted
from kbootstrap.model.events import Listener, Note, silent
from kbootstrap.model.facts import Observed
from kbootstrap.model.finding import Finding, Severity
from kbootstrap.model.host import Host
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan import survey
from kbootstrap.plan.checks.finding import Context
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.preflight import preflight
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered, failed
from kbootstrap.store import clock

if TYPE_CHECKING:
    from kbootstrap.engine.request import Request

LEAVE_OUT = "Mend them, or leave them out with --limit."
WAIVE = 'invoke preflight.run shows reasons and evidence. What you accept is waived in cluster.yml: preflight: {waive: {id: "why"}}.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one read of the hosts brought: *observed* of those that answered, *errors* of the others; *damaged* are ledgers that cannot be read."""

    observed: Mapping[str, Observed]
    errors: Mapping[str, KbError]
    ledgers: Mapping[str, Ledger]
    damaged: Mapping[str, KbError]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Hosts that a run may work on. *left_out* are workers that could not be read: a dead worker blocks nobody."""

    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    findings: tuple[Finding, ...]
    left_out: tuple[Problem, ...]


def read(
    prepared: Prepared, pool: Pool, hosts: Sequence[Host], *, listener: Listener = silent, deep: bool = False, thorough: bool | None = None
) -> Reading:
    """One program on one channel per host, all hosts at once. *thorough* asks what is dear; None: only where the cluster is not installed."""
    desired = prepared.desired if prepared.desired.hosts else None
    began = clock.monotonic_s()

    def work(host: Host, connection: Connection) -> Observed:
        with span(listener, "read", host.name):
            return gather.read(connection, desired, deep=deep, preflight=survey.probe(prepared.spec, host, thorough=thorough))

    outcomes = pool.map(work, hosts)
    observed = answered(outcomes)
    ledgers, damaged = dict[str, Ledger](), dict[str, KbError]()
    for name, seen in observed.items():
        try:
            ledgers[name] = ledger_of.parse(seen.ledger, name)
        except KbError as error:
            damaged[name] = error
    errors = failed(outcomes)
    return Reading(observed=observed, errors=errors, ledgers=ledgers, damaged=damaged, seconds=clock.monotonic_s() - began)


def judge(
    prepared: Prepared, reading: Reading, *, ca_sha256: Sequence[str], pki_error: KbError | None = None, only: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Every finding, the waived ones too; hosts that could not be read are findings like any other."""
    context = Context(
        spec=prepared.spec,
        observed=reading.observed,
        ledgers=reading.ledgers,
        cluster_id=prepared.state.cluster_id,
        ca_sha256=ca_sha256,
        pki_error=pki_error,
        errors=reading.errors,
        damaged=reading.damaged,
        sealing=prepared.pki.sealing,
    )
    return preflight(context, only)


def problems(findings: Sequence[Finding]) -> list[Problem]:
    """Those that stop a run, each with its id: that is what one waives by."""
    return [Problem(where=f.host, what=f"{f.check}: {f.what}.", hint=f.hint) for f in findings if f.severity is Severity.REFUSED]


def note(finding: Finding) -> Note:
    """A finding that stops nothing, as a line."""
    text = f"{finding.what} (waived: {finding.waived})" if finding.waived else f"{finding.what}. {finding.hint}"
    return Note(host=finding.host, text=f"{finding.check}: {text}", warning=not finding.waived)


def require(request: Request, prepared: Prepared, pool: Pool, *, again: bool = False, only: Sequence[str] = (), way_out: str = LEAVE_OUT) -> Fit:
    """Read the hosts that *request* names and judge them, by the checks in *only* if any. What is dear to ask is not asked *again*, nor warned of.

    PreflightError or ConnectError with the problems of all hosts; *way_out* is what helps where a master cannot be read.
    """
    hosts = chosen(prepared.spec, request.limit)
    reading = read(prepared, pool, hosts, listener=request.listener, deep=request.deep, thorough=False if again else None)
    request.listener(Note(text=f"read {counted(len(reading.observed), 'host')} in {reading.seconds:.1f} s"))
    findings = judge(prepared, replace(reading, errors={}), ca_sha256=ca_files_sha256(prepared.pki), only=only)
    broken = [Problem(where=name, what=error.message, hint=error.hint) for name, error in reading.errors.items()]
    refused = problems(findings)
    if broken and (not reading.observed or any(prepared.spec.host(problem.where).is_master for problem in broken)):
        first, what = next(iter(reading.errors.values())), f"{len(broken)} of {counted(len(hosts), 'host')} cannot be read"
        raise type(first)(what, problems=[*broken, *refused], hint=way_out)
    for problem in broken:  # the run goes on without it, and says so again at its end
        request.listener(Note(host=problem.where, text=f"left out: {problem.what}", warning=True))
    if refused:
        raise PreflightError(f"{counted(len(refused), 'preflight check')} failed; nothing was changed", problems=refused, hint=WAIVE)
    for finding in findings if not again else ():
        request.listener(note(finding))
    return Fit(observed=reading.observed, ledgers=reading.ledgers, findings=findings, left_out=tuple(broken))


def run(request: Request) -> tuple[Finding, ...]:
    """The whole preflight of the hosts that *request* names, of the checks in its ``only``; changes nothing."""
    found = known_pki(request.folder)
    known = replace(contact(request.folder), pki=found.pki)
    hosts = chosen(known.spec, request.limit)
    with request.connect(known) as pool:
        reading = read(known, pool, hosts, listener=request.listener, thorough=True)
    request.listener(Note(text=f"read {len(reading.observed)} of {counted(len(hosts), 'host')} in {reading.seconds:.1f} s"))
    return judge(known, reading, ca_sha256=ca_files_sha256(found.pki), pki_error=found.error, only=request.only)
