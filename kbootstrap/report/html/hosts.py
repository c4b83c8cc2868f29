"""The hosts, a line each: what the inventory says of them, and what they said of themselves."""

from __future__ import annotations

from kbootstrap.model.status import CERTIFICATE_SOON_D, DISK_FULL_PERCENT, HostState, span
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.view import SYMBOLS, Place, State, View

_HEADS = ("host", "state", "address", "roles", "pods", "system", "up", "clock", "fullest disk", "first certificate to end")
CLOCK_WARN_S = 5.0


def section(view: View) -> Html:
    """The table; where nobody was asked, what the inventory says alone."""
    said = {host.name: host for host in view.status.hosts} if view.status else {}
    nodes = {node.name: node for node in view.status.nodes} if view.status else {}
    heads = _HEADS if said else _HEADS[:5]
    rows = []
    for place in view.places:
        seen = said.get(place.name)
        node = nodes.get(place.name)
        ready = "" if node is None else "Ready" if node.ready else f"node {'absent' if node.status == 'absent' else 'not Ready'}"
        rows.append(el("tr", *_inventory(place, seen, ready), *(_seen(seen) if seen else ())))
    head = el("tr", *(el("th", text, scope="col") for text in heads))
    table = el("table", el("caption", "Hosts"), el("thead", head), el("tbody", *rows), class_="list hosts")
    return el("section", el("h2", "Hosts"), el("div", table, class_="scroll", tabindex="0", role="region", aria_label="Hosts"), id="hosts")


def _inventory(place: Place, seen: HostState | None, ready: str) -> list[Html]:
    if seen is None:
        state, word = State.UNKNOWN, "not asked"
    elif seen.reason:
        state, word = State.BAD, "silent"
    else:
        state, word = (State.BAD, ready) if ready not in {"", "Ready"} else (State.OK, ready or "answers")
    return [
        el("th", place.name, scope="row"),
        el("td", f"{SYMBOLS[state]} {word}", class_=f"{state.value} word"),
        el("td", el("code", place.address)),
        el("td", " + ".join(place.roles)),
        el("td", el("code", place.pod_range)),
    ]


def _seen(host: HostState) -> list[Html]:
    if host.reason:
        return [el("td", host.reason, *([join([" ", el("code", host.hint, class_="fix")])] if host.hint else []), colspan=5)]
    mount, used = max(host.disks.items(), key=lambda pair: pair[1], default=("", 0))
    certificate = host.certificate
    ends = f"{certificate.path} {certificate.days_left:.0f}\u00a0d" if certificate else "none"
    return [
        el("td", host.os, ", ", el("span", host.kernel, class_="whole")),
        el("td", span(host.up_s), class_="number"),
        _marked(f"{round(host.clock_s, 1) + 0.0:+.1f}\u00a0s", abs(host.clock_s) > CLOCK_WARN_S),
        _marked(f"{mount} {used}\u00a0%" if mount else "", used >= DISK_FULL_PERCENT),
        _marked(ends, certificate is not None and certificate.days_left < CERTIFICATE_SOON_D),
    ]


def _marked(text: str, bad: bool) -> Html:
    return el("td", f"{SYMBOLS[State.WARN]} {text}", class_="warn") if bad else el("td", text)
