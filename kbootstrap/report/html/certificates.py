"""Certificates on a time line: a bar per kind, the ones that end first on top; every single one in the list below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import SYMBOLS, Certificate, State, View

WIDTH, LEFT, RIGHT = 1080.0, 230.0, 740.0
TOP, STEP = 24.0, 22.0
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
TICKS_MOST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The time between *start* and *end*, drawn from LEFT to RIGHT."""

    start: datetime
    end: datetime

    def x(self, when: datetime) -> float:
        """Its place; what lies outside is at the edge."""
        share = (when - self.start) / (self.end - self.start)
        return LEFT + min(max(share, 0.0), 1.0) * (RIGHT - LEFT)

    def ticks(self) -> list[datetime]:
        """First days of months, eight at most."""
        for months in MONTHS:
            first = self.start.year * 12 + self.start.month  # the month after the start
            number = -(-first // months) * months
            found = []
            while (day := datetime(number // 12, number % 12 + 1, 1, tzinfo=self.start.tzinfo)) < self.end:
                found.append(day)
                number += months
            if len(found) <= TICKS_MOST:
                return found
        return []


def section(view: View) -> Html:
    """The time line, and the list."""
    parts = [el("h2", "Certificates")]
    if view.pki_error:
        parts.append(el("p", f"{SYMBOLS[State.BAD]} {view.pki_error}", class_="lead bad"))
    if not view.certificates:
        parts.append(el("p", "There are none yet: cluster.up issues them.", class_="lead"))
        return el("section", *parts, id="certificates")
    first = min(view.certificates, key=lambda each: each.not_after)
    parts.append(el("p", f"The first to end is {first.id}, on {first.not_after:%Y-%m-%d} ({_left(first, view.now)}).", class_="lead"))
    parts += [el("div", _line(view), class_="scroll", tabindex="0", role="region", aria_label="Time line of certificates"), _list(view)]
    return el("section", *parts, id="certificates")


def _left(each: Certificate, now: datetime) -> str:
    days = each.days_left(now)
    return f"{days:.0f} days left" if days > 0 else f"ended {-days:.0f} days ago"


def state_of(each: Certificate, view: View) -> State:
    """How near its end is."""
    left = each.days_left(view.now)
    return State.BAD if left <= 0 else State.WARN if left < view.renew_within_days else State.OK


def _axis(view: View) -> Axis:
    """As long as leaves live; a CA of ten years would press everything else into a corner, so its bar runs out of the picture."""
    leaves = [each for each in view.certificates if not each.is_ca] or list(view.certificates)
    start, end = min(view.now, *(each.not_before for each in leaves)), max(view.now, *(each.not_after for each in leaves))
    margin = max((end - start) * 0.03, timedelta(days=1))
    return Axis(start=start - margin, end=end + margin)


def _groups(view: View) -> list[list[Certificate]]:
    """Certificates of one kind, the first to end first; kinds likewise, the CAs at the bottom."""
    kinds: dict[str, list[Certificate]] = {}
    for each in view.certificates:
        kinds.setdefault(each.kind, []).append(each)
    groups = [sorted(group, key=lambda each: each.not_after) for group in kinds.values()]
    return sorted(groups, key=lambda group: (group[0].is_ca, state_of(group[0], view) is State.OK, group[0].not_after.date()))


def _line(view: View) -> Html:
    axis, groups = _axis(view), _groups(view)
    bottom = TOP + STEP * len(groups)
    drawn = [_tick(axis, day, bottom) for day in axis.ticks()]
    drawn += [_bar(axis, group, TOP + STEP * number, view) for number, group in enumerate(groups)]
    now = axis.x(view.now)
    drawn.append(el("line", x1=now, x2=now, y1=TOP - 8, y2=bottom + 4, class_="now"))
    drawn.append(el("text", "today", x=now, y=bottom + 18, class_="now middle"))
    return el(
        "svg",
        el("title", "Certificates on a time line"),
        el("desc", "A bar from issue to end for each kind of certificate; the list below says the same in words."),
        *drawn,
        viewBox=f"0 0 {WIDTH:.0f} {bottom + 24:.0f}",
        role="img",
        class_="drawing",
    )


def _tick(axis: Axis, day: datetime, bottom: float) -> Html:
    x = axis.x(day)
    label = el("text", f"{day:%b %Y}", x=x, y=10, class_="middle muted")
    return join([el("line", x1=x, x2=x, y1=16, y2=bottom, class_="grid"), label])


def _bar(axis: Axis, group: Sequence[Certificate], y: float, view: View) -> Html:
    first = group[0]
    state = state_of(first, view)
    x1, x2 = axis.x(min(each.not_before for each in group)), axis.x(first.not_after)
    beyond = first.not_after > axis.end
    ends = sorted({axis.x(each.not_after) for each in group[1:]} - {x2})
    name = f"{first.kind} × {len(group)}" if len(group) > 1 else first.kind
    said = f"{SYMBOLS[state]} {first.not_after:%Y-%m-%d}, {_left(first, view.now)}"
    if ends and first.host:
        said = f"{SYMBOLS[state]} {first.host} {first.not_after:%Y-%m-%d}, {_left(first, view.now)}"
    middle = y + STEP / 2
    parts = [
        el("text", name, x=LEFT - 10, y=middle + 4, class_="end"),
        el("rect", x=x1, y=y + 6, width=max(x2 - x1, 2.0), height=STEP - 12, rx=3, class_=f"bar {state.value}"),
        *(el("line", x1=x, x2=x, y1=y + 4, y2=y + STEP - 4, class_=f"mark {state.value}") for x in ends),
        el("text", f"{'→ ' if beyond else ''}{said}", x=RIGHT + 10, y=middle + 4, class_=state.value if state is not State.OK else "muted"),
    ]
    return el("g", *parts)


def _list(view: View) -> Html:
    """Every certificate in words, the first to end first; long, and so closed until it is wanted."""
    ordered = sorted(view.certificates, key=lambda each: (each.not_after.date(), each.is_ca))
    heads = ("certificate", "subject", "issuer", "from", "until", "days left")
    rows = [
        el(
            "tr",
            el("th", each.id, scope="row"),
            el("td", each.subject),
            el("td", each.issuer),
            el("td", f"{each.not_before:%Y-%m-%d}"),
            el("td", f"{each.not_after:%Y-%m-%d}", class_=state.value if (state := state_of(each, view)) is not State.OK else None),
            el("td", f"{each.days_left(view.now):.0f}", class_="number"),
        )
        for each in ordered
    ]
    caption = f"Certificates of {folded(dict.fromkeys(each.host for each in ordered if each.host))}, and the cluster's own"
    table = el("table", el("caption", caption), el("thead", el("tr", *(el("th", h, scope="col") for h in heads))), el("tbody", *rows), class_="list")
    return el("details", el("summary", f"All {len(ordered)} certificates"), el("div", table, class_="scroll"))
