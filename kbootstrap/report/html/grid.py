"""A table of things × hosts. Many hosts of which the same is true share a column, so that forty workers are one, and the odd one stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import SYMBOLS, State

FOLD_FROM = 11  # hosts; up to ten columns are read at a glance
DENSE_FROM = 9
TURN_FROM = 15  # columns; then their heads stand upright
MANY = 4  # names; a head with so many needs room
WORDS = {State.OK: "ok", State.BAD: "failed", State.WARN: "not certain", State.UNKNOWN: "not known", State.NONE: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """*text* stands beside the symbol (a *minor* one only where there is room), *word* is for those who see no symbol, *link* an anchor."""

    state: State
    text: str = ""
    word: str = ""
    link: str = ""
    minor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row: its *head* and *facts* (markup), and its cells by host; a host without one has an empty cell."""

    head: Html
    cells: Mapping[str, Cell]
    facts: Sequence[Html] = field(default_factory=tuple)


def grid(caption: str, hosts: Sequence[str], lines: Sequence[Line], *, heads: Sequence[str]) -> Html:
    """The table. *heads* are those of the columns before the hosts'."""
    columns = _columns(hosts, lines)
    kind = "grid turned dense" if len(columns) >= TURN_FROM else "grid dense" if len(columns) >= DENSE_FROM else "grid"
    head = el(
        "tr",
        *(el("th", text, scope="col") for text in heads),
        *(el("th", el("span", folded(column)), scope="col", class_="host" if len(column) < MANY else "host many") for column in columns),
    )
    body = join(_row(line, columns) for line in lines)
    table = el(
        "table",
        el("caption", caption),
        el("thead", head),
        el("tbody", body),
        class_=kind,
    )
    return el("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _row(line: Line, columns: Sequence[Sequence[str]]) -> Html:
    facts = (el("td", fact) for fact in line.facts)
    return el("tr", el("th", line.head, scope="row"), *facts, *(_cell(line.cells.get(column[0])) for column in columns))


def _columns(hosts: Sequence[str], lines: Sequence[Line]) -> list[list[str]]:
    if len(hosts) < FOLD_FROM:
        return [[host] for host in hosts]
    alike: dict[tuple[Cell | None, ...], list[str]] = {}
    for host in hosts:
        alike.setdefault(tuple(line.cells.get(host) for line in lines), []).append(host)
    return list(alike.values())


def _cell(cell: Cell | None) -> Html:
    if cell is None:
        return el("td", class_="empty")
    word = cell.word or WORDS[cell.state]
    shown = join([el("span", SYMBOLS[cell.state], class_="sign", aria_hidden="true"), el("span", word, class_="unseen")])
    if cell.text:
        shown = join([shown, el("span", cell.text, class_="value minor" if cell.minor else "value")], " ")
    return el("td", el("a", shown, href=f"#{cell.link}") if cell.link else shown, class_=cell.state.value, title=word or None)
