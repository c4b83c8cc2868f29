"""What is wrong, worst first, each with the command that mends it: the beginning of the page, and the verdict above it.

A consequence is not a problem of its own: of a host that does not answer only that is said, and where nothing is installed yet nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kbootstrap.errors import counted
from kbootstrap.model.finding import Severity
from kbootstrap.model.status import Unit
from kbootstrap.report.html import reach
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import Block, Certificate, State, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """*where* are hosts or ``cluster``; *rule* the offending rule as its tool lists it; *section* is where the page says more."""

    grave: bool
    where: tuple[str, ...]
    what: str
    hint: str
    section: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    state: State
    text: str


def verdict(view: View) -> Verdict:
    """The first word of the page."""
    if view.status is None:
        return Verdict(state=State.UNKNOWN, text="not asked: drawn from the inventory alone")
    if len(view.silent) == len(view.places):
        return Verdict(state=State.BAD, text="no host answers: drawn from the inventory alone")
    found = issues(view)
    grave, mild = sum(issue.grave for issue in found), sum(not issue.grave for issue in found)
    warnings = f", {counted(mild, 'warning')}" if mild else ""
    if not view.installed:
        return (
            Verdict(state=State.BAD, text=f"not installed: {counted(grave, 'problem')} in the way{warnings}")
            if grave
            else Verdict(state=State.UNKNOWN, text=f"not installed: nothing stands in the way{warnings}")
        )
    if grave:
        return Verdict(state=State.BAD, text=f"not healthy: {counted(grave, 'problem')}{warnings}")
    return Verdict(state=State.WARN if mild else State.OK, text=f"healthy{warnings}")


def issues(view: View) -> tuple[Issue, ...]:
    """Everything that is wrong, the grave first; the same thing on several hosts once."""
    merged: dict[Issue, list[str]] = {}
    for issue in _all(view):
        places = merged.setdefault(replace(issue, where=()), [])
        places.extend(name for name in issue.where if name not in places)
    found = [replace(issue, where=tuple(where)) for issue, where in merged.items()]
    return tuple(sorted(found, key=lambda issue: not issue.grave))


def _all(view: View) -> Iterator[Issue]:
    yield from _silent(view)
    if view.installed:
        yield from _services(view)
    yield from (_blocked(block) for block in view.matrix.blocks if not _explained(block, view.silent))
    yield from _findings(view)
    yield from _certificates(view)


def _silent(view: View) -> Iterator[Issue]:
    for host in view.status.hosts if view.status else ():
        if host.reason:
            yield Issue(grave=True, where=(host.name,), what=f"cannot be read: {host.reason}", hint=host.hint, section="hosts")


def _services(view: View) -> Iterator[Issue]:
    assert view.status is not None  # noqa: S101  only an asked cluster is installed
    status, silent = view.status, view.silent
    for member in status.members:
        if member.reason and member.host not in silent:
            yield Issue(grave=True, where=(member.host,), what=f"etcd: {member.reason}", hint="On it: journalctl -u etcd -n 50", section="topology")
    if not any(member.leader for member in status.members):
        yield Issue(grave=True, where=("cluster",), what="etcd has no leader", hint="Bring a majority of the masters back.", section="topology")
    for api in status.apis:
        if api.reason and api.host not in silent:
            hint = "On it: journalctl -u kube-apiserver -n 50"
            yield Issue(grave=True, where=(api.host,), what=f"its API server is not ready: {api.reason}", hint=hint, section="topology")
    for host in status.hosts:
        if host.units and all(unit.state == "absent" for unit in host.units):
            yield Issue(grave=True, where=(host.name,), what="nothing is installed on it", hint="invoke cluster.up", section="units")
            continue
        yield from (_unit(unit) for unit in host.units if not unit.ok)
    if not status.nodes:
        yield Issue(grave=True, where=("cluster",), what="nodes are not known: no API server answers", hint="invoke cluster.status", section="hosts")
    for node in status.nodes:
        if not node.ready and node.name not in silent:
            what = "its node is not registered" if node.status == "absent" else f"its node is not Ready ({node.status}): {node.detail}"
            yield Issue(grave=True, where=(node.name,), what=what, hint="On it: journalctl -u kubelet -n 50", section="hosts")


def _unit(unit: Unit) -> Issue:
    verb = "" if unit.active or unit.state == "absent" else "is "
    hint = unit.hint.replace(f"On {unit.host}:", "On it:")
    return Issue(grave=True, where=(unit.host,), what=f"{unit.name} {verb}{unit.what}", hint=hint, section="units")


def _explained(block: Block, silent: Iterable[str]) -> bool:
    """Whether a host that does not answer is reason enough."""
    gone = set(silent)
    return not block.sure and (set(block.targets) <= gone or (bool(block.sources) and set(block.sources) <= gone))


def _blocked(block: Block) -> Issue:
    if not block.sure:  # nothing is known to be shut: one line for each reason
        return Issue(
            grave=False, where=("cluster",), what=f"paths could not be proven: {block.detail or block.why}", hint=block.hint, section="ports"
        )
    sources = folded(block.sources) or "every host that must reach it"
    elsewhere = f"on {folded(block.on)}" if block.on and block.on != block.targets else ""
    why = ", ".join(part for part in (reach.blame(block), elsewhere) if part)
    what = f"{', '.join(block.ports)} ({', '.join(block.rows)}) {block.verdict} for {sources}{f'; {why}' if why else ''}"
    rule = ": ".join(part for part in (block.chain, block.rule) if part)
    return Issue(grave=True, where=block.targets, what=what, hint=block.hint, section="ports", rule=rule)


def _findings(view: View) -> Iterator[Issue]:
    known = {(finding.host, finding.what) for finding in view.findings or ()}
    for finding in view.findings or ():
        if finding.severity is not Severity.WAIVED and finding.host not in view.silent:
            grave = finding.severity is Severity.REFUSED
            yield Issue(grave=grave, where=(finding.host,), what=finding.what, hint=finding.hint, section="preflight")
    for trouble in view.status.troubles if view.status else ():
        told = (trouble.where, trouble.what) in known or trouble.where in view.silent
        if not told and (view.installed or trouble.where != "cluster"):
            yield Issue(grave=not trouble.warning, where=(trouble.where,), what=trouble.what, hint=trouble.hint, section="hosts")


def _certificates(view: View) -> Iterator[Issue]:
    if view.pki_error:
        yield Issue(grave=True, where=("cluster",), what=view.pki_error, hint="Restore it from a backup.", section="certificates")
    for ca in (True, False):
        mine = [each for each in view.certificates if each.is_ca is ca]
        gone = [each for each in mine if each.days_left(view.now) <= 0]
        yield from _ending(gone, view, "expired", ca=ca)
        yield from _ending([each for each in mine if 0 < each.days_left(view.now) < view.renew_within_days], view, "soon expire", ca=ca)


def _ending(found: Sequence[Certificate], view: View, what: str, *, ca: bool) -> Iterator[Issue]:
    """All that end are one problem with one remedy; the first tells how near it is."""
    if not found:
        return
    first = min(found, key=lambda each: each.not_after)
    days = first.days_left(view.now)
    said = f"{counted(len(found), 'CA' if ca else 'certificate')} {what}: {first.id} {'ended' if days <= 0 else 'ends'} on {first.not_after:%Y-%m-%d}"
    hint = "Rotate it; a CA is never renewed silently." if ca else "invoke cluster.up issues them anew."
    where = tuple(dict.fromkeys(each.host or "cluster" for each in found))
    yield Issue(grave=days <= 0, where=where, what=said, hint=hint, section="certificates")
