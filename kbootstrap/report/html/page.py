"""The page: the verdict, what is wrong with the command that mends it, and then the facts, section by section."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.finding import Severity
from kbootstrap.report.html import certificates, hosts, matrix, preflight, topology, units
from kbootstrap.report.html.issues import Issue, issues, verdict
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.style import document
from kbootstrap.report.html.view import SYMBOLS, State, View


def page(view: View) -> str:
    """The whole document; the same text for the same view."""
    names = [place.name for place in view.places]
    return document(
        f"{view.cluster}: {verdict(view).text}",
        _header(view),
        _issues(issues(view)),
        topology.section(view),
        matrix.section(view.matrix, names),
        preflight.section(view),
        units.section(view),
        certificates.section(view),
        hosts.section(view),
        el(
            "footer",
            f"Made by {view.made_by} on {view.now:%Y-%m-%d %H:%M} UTC. The same facts for programs: ",
            el("code", "invoke report.html --json"),
        ),
    )


def _footer(view: View) -> Html:
    made = f"Made by {view.made_by} on {view.now:%Y-%m-%d %H:%M} UTC. The same facts for programs: "
    return el("footer", made, el("code", "invoke report.html --json"))


def _header(view: View) -> Html:
    found = verdict(view)
    moment = el("span", f"{view.now:%Y-%m-%d %H:%M} UTC", class_="muted")
    return el(
        "header",
        el("div", el("h1", view.cluster, " ", el("small", f"Kubernetes {view.kubernetes}")), moment, class_="top"),
        el("p", f"{SYMBOLS[found.state]} {found.text[:1].upper()}{found.text[1:]}", class_=f"verdict {found.state.value}", role="status"),
        *([el("p", view.unasked, class_="lead")] if view.unasked else []),
        el("ul", *(_tile(*tile) for tile in _tiles(view)), class_="tiles"),
    )


def _tile(name: str, anchor: str, state: State, value: str, more: str = "") -> Html:
    said = [el("span", name, class_="name"), el("span", f"{SYMBOLS[state]} {value}", class_=f"value {state.value}")]
    return el("li", el("a", *said, *([el("span", more, class_="more")] if more else []), href=f"#{anchor}"))


def _tiles(view: View) -> list[tuple[str, str, State, str, str]]:
    return [*_hosts(view), _ports(view), _preflight(view), *_services(view), *_ends(view)]


def _hosts(view: View) -> list[tuple[str, str, State, str, str]]:
    count = len(view.places)
    masters = sum(place.is_master for place in view.places)
    shape = f"{masters} master{'s' if masters > 1 else ''}, {count - masters} worker{'' if count - masters == 1 else 's'}"
    if view.status is None:
        return [("Hosts", "hosts", State.UNKNOWN, f"{count} not asked", shape)]
    good = count - len(view.silent)
    return [("Hosts that answer", "hosts", State.OK if good == count else State.BAD, f"{good} of {count}", shape)]


def _services(view: View) -> list[tuple[str, str, State, str, str]]:
    if view.status is None or not view.installed:
        return []
    members, apis, nodes = view.status.members, view.status.apis, view.status.nodes
    alive = sum(not member.reason for member in members)
    leader = next((member.host for member in members if member.leader), "")
    ready = sum(node.ready for node in nodes)
    serving = sum(not api.reason for api in apis)
    return [
        ("etcd members", "topology", _full(alive, len(members), leader), f"{alive} of {len(members)}", f"leader {leader}" if leader else "no leader"),
        ("API servers ready", "topology", _full(serving, len(apis)), f"{serving} of {len(apis)}", ""),
        ("Nodes Ready", "hosts", _full(ready, len(nodes)), f"{ready} of {len(nodes)}" if nodes else "not known", ""),
    ]


def _full(good: int, wanted: int, needed: str = "yes") -> State:
    return State.OK if wanted and good == wanted and needed else State.BAD


def _ports(view: View) -> tuple[str, str, State, str, str]:
    asked, good = sum(cell.asked for cell in view.matrix.cells), sum(cell.open for cell in view.matrix.cells)
    if not asked:
        return "Ports", "ports", State.UNKNOWN, "not proven", f"{len(view.matrix.rows)} kinds needed"
    states = {cell.state for cell in view.matrix.cells}
    state = State.BAD if State.BAD in states else State.WARN if State.WARN in states else State.OK
    reasons = len(view.matrix.blocks)
    return "Ports open", "ports", state, f"{good} of {asked}", f"{reasons} reason{'s' if reasons > 1 else ''} below" if reasons else "all proven"


def _preflight(view: View) -> tuple[str, str, State, str, str]:
    if view.findings is None:
        return "Preflight", "preflight", State.UNKNOWN, "not run", ""
    counts = {severity: sum(each.severity is severity for each in view.findings) for severity in Severity}
    state = State.BAD if counts[Severity.REFUSED] else State.WARN if counts[Severity.WARNING] else State.OK
    said = [severity.counted(count) for severity, count in counts.items() if count]
    return "Preflight", "preflight", state, said[0] if said else "all well", ", ".join(said[1:])


def _ends(view: View) -> list[tuple[str, str, State, str, str]]:
    if view.pki_error:
        return [("Certificates", "certificates", State.BAD, "cannot be read", "")]
    if not view.certificates:
        return [("Certificates", "certificates", State.UNKNOWN, "none yet", "")]
    first = min(view.certificates, key=lambda each: each.not_after)
    return [("Certificates", "certificates", certificates.state_of(first, view), f"{first.days_left(view.now):.0f} days", f"until {first.id} ends")]


def _issues(found: Sequence[Issue]) -> Html:
    if not found:
        return join([])
    rows = [_issue(each) for each in found]
    return el("section", el("h2", "What is wrong, and what mends it"), el("ul", *rows, class_="issues"), id="issues")


def _issue(each: Issue) -> Html:
    state = State.BAD if each.grave else State.WARN
    word = "problem" if each.grave else "warning"
    what = [el("p", each.what, " ", el("a", each.section, href=f"#{each.section}", class_="muted"))]
    if each.rule:
        what.append(el("p", el("code", each.rule, class_="text")))
    where = [el("span", SYMBOLS[state], class_="sign", aria_hidden="true"), el("span", f"{word} on ", class_="unseen"), folded(each.where)]
    fix = el("code", each.hint, class_="fix") if each.hint else ""
    return el("li", el("p", *where, class_=f"where {state.value}"), el("div", *what), el("p", fix), class_=state.value)
