"""The port matrix: who must reach whom, what was proven of it, and for each path that is shut the rule that shuts it."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.reach import Proof
from kbootstrap.report.html import reach
from kbootstrap.report.html.grid import Cell, Line, grid
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.style import document
from kbootstrap.report.html.view import Block, Matrix, Row, State


def matrix_section(rows: Sequence[Row], proofs: Sequence[Proof] = (), *, hosts: Sequence[str], note: str = "") -> str:
    """The section alone, as markup; *hosts* are all names in the order of their columns, *note* says why nothing was proven."""
    return section(reach.matrix(rows, proofs, note=note), hosts)


def matrix_page(title: str, rows: Sequence[Row], proofs: Sequence[Proof] = (), *, hosts: Sequence[str], note: str = "") -> str:
    """A page with nothing but the matrix."""
    return document(
        f"{title}: ports", el("header", el("h1", title, " ", el("small", "port matrix"))), section(reach.matrix(rows, proofs, note=note), hosts)
    )


def section(matrix: Matrix, hosts: Sequence[str]) -> Html:
    """Summary, table, and the reasons below it."""
    lines = [_line(row, matrix) for row in matrix.rows if not reach.loopback(row)]
    parts = [
        el("h2", "Ports"),
        el("p", _summary(matrix), class_="lead"),
        grid("What must be reached on which host, and whether it is", hosts, lines, heads=("port", "must be reached by")),
        el("p", _legend(matrix), class_="legend"),
    ]
    if inner := [f"{row.ports} {row.port.purpose.removesuffix(', loopback only')}" for row in matrix.rows if reach.loopback(row)]:
        parts.append(el("p", f"On loopback, for the host itself alone: {', '.join(inner)}.", class_="legend"))
    return el("section", *parts, *_reasons(matrix.blocks), id="ports")


def _summary(matrix: Matrix) -> str:
    asked, good = sum(cell.asked for cell in matrix.cells), sum(cell.open for cell in matrix.cells)
    if not asked:
        return matrix.note or "Nothing was proven: these are the paths that the cluster needs."
    said = f"{good} of {asked} directed proofs between hosts are open"
    return f"{said}. {matrix.note}" if matrix.note else f"{said}."


def _line(row: Row, matrix: Matrix) -> Line:
    cells = {cell.target: _cell(cell.state, cell.open, cell.asked, cell.block) for cell in matrix.cells if cell.row == row.port.name}
    head = join([el("code", row.ports), " ", el("span", row.port.purpose, class_="muted")])
    return Line(head=head, cells=cells, facts=(el("span", row.who),))


def _cell(state: State, good: int, asked: int, block: int | None) -> Cell:
    link = f"block-{block + 1}" if block is not None else ""
    if state is State.OK:
        return Cell(state=state, text="" if good == asked else "*", word=f"open for {good} of {asked}")
    if state is State.BAD:
        return Cell(state=state, text=f"{asked - good}/{asked}", word=f"shut for {asked - good} of {asked}", link=link, minor=True)
    if state is State.WARN:
        return Cell(state=state, text=f"{asked - good}/{asked}", word=f"not proven for {asked - good} of {asked}", link=link, minor=True)
    if state is State.UNKNOWN:
        return Cell(state=state, word="not proven")
    return Cell(state=state, word="needed, though by no other host")


def _legend(matrix: Matrix) -> Html:
    used = {cell.state for cell in matrix.cells}
    partly = any(cell.state is State.OK and cell.open < cell.asked for cell in matrix.cells)
    says = (
        (State.OK, "✓ open (✓* for all hosts that could ask)" if partly else "✓ open"),
        (State.BAD, "✗ 2/4 two of four proofs say shut"),
        (State.WARN, "! could not be proven"),
        (State.UNKNOWN, "? not proven"),
        (State.NONE, "· needed, though by no other host: by pods, the operator, or a host alone"),
    )
    return join((el("span", text, class_=f"key {state.value}") for state, text in says if state in used), " ")


def _reasons(blocks: Sequence[Block]) -> list[Html]:
    found = []
    for title, sure in (("Shut, and why", True), ("Not proven, and why", False)):
        mine = [(number, block) for number, block in enumerate(blocks, 1) if block.sure is sure]
        if mine:
            found += [el("h3", title), el("ol", *(_block(number, block) for number, block in mine), class_="blocks")]
    return found


def _block(number: int, block: Block) -> Html:
    what = f"{', '.join(block.ports)} {block.verdict}"
    sources = folded(block.sources) or "every host that must reach it"
    said = [el("dt", "path"), el("dd", sources, " → ", el("strong", folded(block.targets)))]
    where = f", on {folded(block.on)}" if block.on and block.on != block.targets else ""
    if why := "; ".join(part for part in (reach.blame(block), block.detail) if part):
        said += [el("dt", "why"), el("dd", why, where)]
    if block.chain or block.rule:
        said += [el("dt", "rule"), el("dd", el("code", ": ".join(part for part in (block.chain, block.rule) if part), class_="text"))]
    if block.hint:
        said += [el("dt", "fix"), el("dd", el("code", block.hint, class_="fix"))]
    names = el("span", ", ".join(block.rows), class_="muted")
    return el(
        "li", el("p", el("b", what), " ", names), el("dl", *said), id=f"block-{number}", class_=State.BAD.value if block.sure else State.WARN.value
    )
