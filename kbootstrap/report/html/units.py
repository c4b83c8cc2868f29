"""Units and versions: what runs on each host, and of which version; beside each what the inventory wants."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.status import HostState, Unit, span
from kbootstrap.report.html.grid import Cell, Line, grid
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import State, View


def section(view: View) -> Html:
    """The table of units × hosts, and the versions of systems and components."""
    wanted = ", ".join(f"{name} {version}" for name, version in sorted(view.versions.items()))
    hosts = view.status.hosts if view.status else ()
    parts = [el("h2", "Units and versions"), el("p", f"Wanted: {wanted}.", class_="lead")]
    if view.installed:
        parts += [_units(view, hosts), _systems(hosts)]
    elif units := dict.fromkeys(unit.name.removesuffix(".service") for host in hosts for unit in host.units):
        parts += [el("p", f"Nothing is installed yet. Units to come: {', '.join(units)}.", class_="lead"), _systems(hosts)]
    else:
        parts.append(el("p", view.unasked or "No host answered.", class_="lead"))
    return el("section", *parts, id="units")


def _units(view: View, hosts: Sequence[HostState]) -> Html:
    units = [unit for host in hosts for unit in host.units]
    names = list(dict.fromkeys(unit.name for unit in units))
    silent = {host.name: Cell(state=State.BAD, word="the host does not answer", text="silent") for host in hosts if host.reason}
    lines = []
    for name in names:
        mine = [unit for unit in units if unit.name == name]
        cells = {unit.host: _cell(unit) for unit in mine} | silent
        wanted = ", ".join(sorted({unit.wanted for unit in mine if unit.wanted}))
        lines.append(Line(head=el("code", name.removesuffix(".service")), cells=cells, facts=(el("span", wanted), el("span", _ages(mine)))))
    return grid("Units on hosts, and the version that runs", [host.name for host in hosts], lines, heads=("unit", "wanted", "active for"))


def _cell(unit: Unit) -> Cell:
    if unit.ok:
        return Cell(state=State.OK, text=unit.version or "", word=unit.state)
    if unit.state == "absent":
        return Cell(state=State.BAD, text="absent")
    if unit.active:
        return Cell(state=State.BAD, text=unit.version or "unknown version", word=f"{unit.state}, want {unit.wanted}")
    since = f" {span(unit.since_s)}" if unit.since_s is not None else ""
    restarts = f", {unit.restarts}× restarted" if unit.restarts else ""
    return Cell(state=State.BAD, text=f"{unit.state}{since}{restarts}")


def _ages(units: Sequence[Unit]) -> str:
    since = sorted(unit.since_s for unit in units if unit.active and unit.since_s is not None)
    return " to ".join(dict.fromkeys(span(each) for each in (since[:1] + since[-1:])))


def _systems(hosts: Sequence[HostState]) -> Html:
    """Operating systems and kernels: a list, since there is seldom more than one."""
    answering = [host for host in hosts if not host.reason]
    said = []
    for title, values in (("System", [host.os for host in answering]), ("Kernel", [host.kernel for host in answering])):
        kinds: dict[str, list[str]] = {}
        for host, value in zip(answering, values, strict=True):
            kinds.setdefault(value, []).append(host.name)
        said += [el("dt", title), *(el("dd", kind or "unknown", " ", el("span", folded(names), class_="muted")) for kind, names in kinds.items())]
    return el("dl", join(said), class_="facts")
