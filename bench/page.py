"""The results as one page with charts: the report's own style sheet and markup, inline SVG, nothing fetched. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import COLUMNS, Figure
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.style import document

WIDTH, LABEL, LINE = 1080, 210, 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a page shows. *rows*: title of a part (with and without delay) → its figures; *facts*: what it was measured on."""

    made: str
    facts: Mapping[str, str]
    titles: Mapping[str, str]  # work → what it is
    rows: Mapping[str, Sequence[Figure]]


def page(results: Results) -> str:
    """The whole document."""
    head = el("header", el("h1", "kbootstrap and its peers ", el("small", results.made)))
    about = el("dl", *(part for key, value in results.facts.items() for part in (el("dt", key), el("dd", value))), class_="facts")
    lead = el(
        "p", "Medians of shuffled, interleaved rounds. × is how many times as much as kbootstrap needs. Shorter bars are better.", class_="lead"
    )
    return document("Benchmark", head, about, lead, *(_part(title, figures, results.titles) for title, figures in results.rows.items()))


def _part(title: str, figures: Sequence[Figure], titles: Mapping[str, str]) -> Html:
    groups = list(dict.fromkeys((f.work, f.run) for f in figures))
    charts = [_group(titles, work, run, [f for f in figures if (f.work, f.run) == (work, run)]) for work, run in groups]
    return el("section", el("h2", title), *charts, el("h3", "All figures"), _table(figures))


def _group(titles: Mapping[str, str], work: str, run: str, figures: Sequence[Figure]) -> Html:
    return el(
        "div",
        el("h3", f"{work} {titles.get(work, '')}: {run} run"),
        _bars(figures, "wall time, s", lambda f: f.wall_s, lambda f: f.wall_ratio),
        _bars(figures, "CPU seconds of the controller", lambda f: f.cpu_s, lambda f: f.cpu_ratio),
    )


def _bars(figures: Sequence[Figure], title: str, read: Callable[[Figure], float], ratio: Callable[[Figure], float]) -> Html:
    """A horizontal bar per tool, in the order of their lengths; who failed has no bar."""
    ordered = sorted(figures, key=lambda f: (bool(f.failed), read(f)))
    longest = max((read(f) for f in figures), default=0.0) or 1.0
    rows = []
    for number, figure in enumerate(ordered):
        top = 24 + number * LINE
        length = max(1.0, (WIDTH - LABEL - 190) * read(figure) / longest)
        said = f"{read(figure):.2f}" + (f" (× {ratio(figure):.1f})" if ratio(figure) and abs(ratio(figure) - 1) > 0.005 else "")
        rows.append(el("text", figure.contestant, x=LABEL - 10, y=top + 15, class_="end strong" if figure.contestant == "kbootstrap" else "end"))
        if figure.failed:
            rows.append(el("text", "did not do the work", x=LABEL, y=top + 15, class_="bad"))
            continue
        state = "ok" if figure.contestant == "kbootstrap" else "warn"
        rows.append(el("rect", x=LABEL, y=top + 2, width=length, height=LINE - 8, class_=f"bar {state}"))
        rows.append(el("text", said, x=LABEL + length + 8, y=top + 15))
    height = 30 + len(ordered) * LINE
    label = el("text", title, x=LABEL, y=14, class_="muted")
    drawing = el("svg", label, join(rows), viewBox=f"0 0 {WIDTH} {height}", class_="drawing", role="img", aria_label=title)
    return el("div", drawing, class_="scroll")


def _table(figures: Sequence[Figure]) -> Html:
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in COLUMNS)))
    return el("div", el("table", head, el("tbody", *map(_row, figures)), class_="list"), class_="scroll", tabindex=0)


def _row(f: Figure) -> Html:
    where = (el("td", f.work), el("td", f.run), el("th", f.contestant, scope="row"))
    if f.failed:
        return el("tr", *where, el("td", f.failed, colspan=len(COLUMNS) - 3, class_="bad"))
    numbers = (
        f"{f.wall_s:.2f}", f"{f.wall_ratio:.2f}", f"{f.cpu_s:.2f}", f"{f.cpu_ratio:.2f}", f"{f.hosts_cpu_s:.2f}",
        f"{f.peak_mb:.0f}", f"{f.sessions:.0f}", f"{f.trips:g}" if f.trips else "–",
    )  # fmt: skip
    return el("tr", *where, *(el("td", number, class_="number") for number in numbers))
