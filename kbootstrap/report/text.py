"""Text for an operator at 3 a.m.: one line per change with its reason, aligned; symbols + ~ - !; colour nowhere needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from kbootstrap.errors import counted
from kbootstrap.model.finding import Finding, Severity
from kbootstrap.model.plan import CLUSTER, Change, Plan
from kbootstrap.model.report import Result


def _folded(changes: Iterable[Change]) -> dict[tuple[str, str, str], list[Change]]:
    """Changes alike on several hosts, as one: (symbol, key, reason) → changes."""
    found: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        found.setdefault((change.action.value, change.key, change.reason), []).append(change)
    return found


def plan(value: Plan, *, diffs: bool = True, unread: Sequence[str] = ()) -> Iterator[str]:
    """A line per change, folded over hosts, below its stage; behind a changed text file its unified diff. *unread* hosts are no part of it."""
    if value.empty:
        yield f"Nothing to do: {as_wanted(unread)}"
        return
    for stage in value.stages:
        yield f"{stage.name}"
        rows = _folded(change for host in stage.hosts for change in host.changes)
        key_width = min(56, max(len(key) for _, key, _ in rows))
        host_width = min(20, max(len(_hosts(group)) for group in rows.values()))
        for (symbol, key, reason), group in rows.items():
            yield f"  {symbol} {_hosts(group):<{host_width}}  {key:<{key_width}}  {reason}"
            for change in group:
                if diffs and change.before is not None and change.after is not None and "\n" in change.before + change.after:
                    yield from diff(change)
    yield summary(value)


def as_wanted(unread: Sequence[str] = ()) -> str:
    """What an empty plan means, when *unread* hosts could not be asked."""
    if unread:
        return f"every host that could be read is as the inventory wants it; nothing is known of {', '.join(unread)}."
    return "every host is as the inventory wants it."


def _hosts(group: Sequence[Change]) -> str:
    return ",".join(change.host for change in group)


def diff(change: Change) -> Iterator[str]:
    """The unified diff of a change, indented."""
    before, after = (change.before or "").splitlines(), (change.after or "").splitlines()
    for line in difflib.unified_diff(before, after, f"{change.id} (now)", f"{change.id} (wanted)", lineterm=""):
        yield f"      {line}"


def summary(value: Plan) -> str:
    """``12 changes on 3 hosts: 8 +, 2 ~, 2 !``."""
    changes = list(value.changes())
    hosts = len({change.host for change in changes} - {CLUSTER})
    on_hosts = [f"on {counted(hosts, 'host')}"] if hosts else []
    places = " and ".join([*on_hosts, *(["in the API"] if any(change.host == CLUSTER for change in changes) else [])])
    counts = [f"{sum(c.action.value == symbol for c in changes)} {symbol}" for symbol in "+~-!" if any(c.action.value == symbol for c in changes)]
    return f"{counted(len(changes), 'change')} {places}: {', '.join(counts)}"


def results(values: Sequence[Result], *, every: bool = False) -> Iterator[str]:
    """A line per kind of check when all is well, and a line with its hint for each that is not."""
    kinds = dict.fromkeys(value.check for value in values)
    width = max((len(kind) for kind in kinds), default=0)
    for kind in kinds:
        mine = [value for value in values if value.check == kind]
        bad = [value for value in mine if not value.ok]
        shown = mine if every else bad
        if not bad and not every:
            yield f"  ok  {kind:<{width}}  {len(mine)}  {mine[0].detail if len(mine) == 1 else ''}".rstrip()
        for value in shown:
            yield f"  {'ok' if value.ok else '!!'}  {kind:<{width}}  {value.where}: {value.detail}{'' if value.ok else '  → ' + value.hint}"


_MARKS = {Severity.REFUSED: "!!", Severity.WARNING: " !", Severity.WAIVED: " ·"}


def findings(values: Sequence[Finding]) -> Iterator[str]:
    """What stops a run first; hosts with the same finding share it. Below each: how it was seen, why it matters, what mends it."""
    groups: dict[tuple[Severity, str, str, str], list[Finding]] = {}
    for value in sorted(values, key=lambda value: list(Severity).index(value.severity)):
        groups.setdefault((value.severity, value.check, value.what, value.hint), []).append(value)
    for (severity, check, what, hint), group in groups.items():
        first = group[0]
        yield f"{_MARKS[severity]} {check}  {','.join(value.host for value in group)}: {what}"
        yield from (f"     {label:<5} {text}" for label, text in (("seen", first.evidence), ("why", first.why)) if text)
        yield f"     waived: {first.waived}" if first.waived else f"     fix   {hint}"
    counts = {severity: sum(value.severity is severity for value in values) for severity in Severity}
    told = ", ".join(severity.counted(count) for severity, count in counts.items() if count)
    yield told or "Nothing found: every host is fit."
