"""The preflight: every finding with what was seen, why it matters and what mends it; those that were waived with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.finding import Finding, Severity
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import SYMBOLS, State, View

_STATES = {Severity.REFUSED: State.BAD, Severity.WARNING: State.WARN, Severity.WAIVED: State.NONE}


def section(view: View) -> Html:
    """Refused first, then warnings, then what was waived; the same on several hosts once."""
    if view.findings is None:
        body = el("p", view.unasked or "No host was asked.", class_="lead")
    elif not view.findings:
        body = el("p", f"{SYMBOLS[State.OK]} Every check holds on every host that answered.", class_="lead")
    else:
        body = join([el("p", _summary(view.findings), class_="lead"), _table(view.findings)])
    return el("section", el("h2", "Preflight"), body, id="preflight")


def _summary(findings: Sequence[Finding]) -> str:
    counts = [(severity, sum(each.severity is severity for each in findings)) for severity in Severity]
    return ", ".join(severity.counted(count) for severity, count in counts if count) + "."


def _table(findings: Sequence[Finding]) -> Html:
    order = list(Severity)
    merged: dict[tuple[object, ...], tuple[Finding, list[str]]] = {}
    for each in findings:
        key = (each.severity, each.check, each.what, each.hint, each.evidence, each.waived)
        merged.setdefault(key, (each, []))[1].append(each.host)
    rows = sorted(merged.values(), key=lambda pair: order.index(pair[0].severity))
    head = el("tr", *(el("th", text, scope="col") for text in ("severity", "check", "on", "what, and what mends it")))
    return el(
        "div",
        el("table", el("caption", "Findings"), el("thead", head), el("tbody", *(_row(each, hosts) for each, hosts in rows)), class_="list"),
        class_="scroll",
    )


def _row(each: Finding, hosts: Sequence[str]) -> Html:
    state = _STATES[each.severity]
    said = [el("p", el("b", each.what))]
    if each.evidence:
        said.append(el("p", el("code", each.evidence, class_="text")))
    if each.why:
        said.append(el("p", each.why, class_="muted"))
    if each.waived:
        said.append(el("p", "Waived: ", each.waived))
    if each.hint:
        said.append(el("p", el("code", each.hint, class_="fix")))
    return el(
        "tr",
        el("td", f"{SYMBOLS[state]} {each.severity.value}", class_=f"{state.value} word"),
        el("th", el("code", each.check), scope="row"),
        el("td", folded(hosts)),
        el("td", *said),
    )
