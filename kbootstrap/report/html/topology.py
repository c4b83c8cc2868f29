"""The cluster as a drawing: masters with their etcd members, workers, the way each host takes to the API, and the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kbootstrap.catalog.ports import API, ETCD_PEER
from kbootstrap.report.html.markup import Html, el, join
from kbootstrap.report.html.names import folded
from kbootstrap.report.html.view import SYMBOLS, Place, State, View

WIDTH, PAD, GAP, HEAD = 1080.0, 14.0, 12.0, 34.0
FULL_MOST = 12  # hosts; more are drawn small
LINE, LETTER = 18.0, 7.0  # height of a line, and the usual width of a letter
WAY = 74.0  # height of what stands between the bands


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A host's box: lines of (left, right, state of the right), the first of which is its name."""

    state: State
    silent: bool
    title: str
    lines: tuple[tuple[str, str, State | None], ...]


def section(view: View) -> Html:
    """The drawing, in a frame that scrolls sideways where the window is narrow."""
    drawing = el("div", _drawing(view), class_="scroll", tabindex="0", role="region", aria_label="Topology")
    return el("section", el("h2", "Topology"), drawing, id="topology")


def _drawing(view: View) -> Html:
    masters = [place for place in view.places if place.is_master]
    workers = [place for place in view.places if not place.is_master]
    small, columns = len(workers) > FULL_MOST, max(_columns(len(masters)), _columns(len(workers)))
    top, y = _band(view, f"Masters: {_etcd(view)}", masters, 0.0, columns=columns, small=False)
    way = _way(view, y)
    y += WAY
    if workers:
        below, y = _band(view, f"Workers: {_ready(view, workers)}", workers, y, columns=columns, small=small)
    else:
        below, y = el("text", "No workers: pods run on the masters.", x=WIDTH / 2, y=y + 4, class_="middle muted"), y + 12
    network = view.network
    nets = (
        f"Pods {network.pods}, a /{network.host_prefix} per host ({network.plugin})  ·  Services {network.services}  ·  "
        f"API {network.api_service}  ·  DNS {network.dns_service}  ·  {network.domain}"
    )
    strip = el("text", nets, x=WIDTH / 2, y=y + 26, class_="middle")
    return el(
        "svg",
        el("title", f"Topology of {view.cluster}"),
        el("desc", f"{len(masters)} masters and {len(workers)} workers; the tables below say the same in words."),
        el(
            "defs",
            el(
                "marker",
                el("path", d="M0 0 L8 4 L0 8 z"),
                id="arrow",
                viewBox="0 0 8 8",
                refX=7,
                refY=4,
                markerWidth=8,
                markerHeight=8,
                orient="auto",
            ),
        ),
        top,
        way,
        below,
        strip,
        viewBox=f"0 0 {WIDTH:.0f} {y + 40:.0f}",
        role="img",
        class_="drawing",
    )


def _etcd(view: View) -> str:
    count = sum(place.is_master for place in view.places)
    if view.status is None or not view.installed:
        return f"etcd of {count} member{'s' if count > 1 else ''}, peers on {ETCD_PEER.number}/tcp"
    good = [member for member in view.status.members if not member.reason]
    leader = next((member.host for member in good if member.leader), "")
    return f"etcd {len(good)} of {count}, {f'leader {leader}' if leader else 'NO LEADER'}"


def _ready(view: View, workers: Sequence[Place]) -> str:
    if view.status is None or not view.status.nodes:
        return str(len(workers))
    names = {place.name for place in workers}
    ready = sum(node.ready for node in view.status.nodes if node.name in names)
    return f"{ready} of {len(workers)} Ready"


def _way(view: View, y: float) -> Html:
    """Every host's way to the API, between the bands: up to the masters."""
    middle = WIDTH / 2
    box = el("rect", x=middle - 330, y=y + 22, width=660, height=30, rx=6, class_="way")
    masters = [place.name for place in view.places if place.is_master]
    said = el(
        "text",
        f"{view.endpoint} → API server{'s' if len(masters) > 1 else ''} {folded(masters)}, {API.number}/tcp",
        x=middle,
        y=y + 41.5,
        class_="middle",
    )
    arrows = [el("line", x1=middle, x2=middle, y1=at, y2=at - 20, class_="arrow", marker_end="url(#arrow)") for at in (y + 22, y + WAY)]
    return el("g", *(arrows if any(not place.is_master for place in view.places) else arrows[:1]), box, said)


def _band(view: View, title: str, places: Sequence[Place], y: float, *, columns: int, small: bool) -> tuple[Html, float]:
    """A frame with the hosts' boxes in rows; returns also where it ends."""
    columns = 8 if small else columns
    width = (WIDTH - 2 * PAD - (columns - 1) * GAP) / columns
    cards = [_small(view, place) if small else _full(view, place) for place in places]
    lines = max((len(card.lines) for card in cards), default=1)
    height = 14 + LINE * lines
    rows = -(-len(cards) // columns)
    end = y + HEAD + rows * (height + GAP) + PAD - GAP
    parts = [
        el("rect", x=0.5, y=y + 0.5, width=WIDTH - 1, height=end - y - 1, rx=10, class_="band"),
        el("text", title, x=PAD, y=y + 22, class_="strong"),
    ]
    for number, card in enumerate(cards):
        left, top = PAD + (number % columns) * (width + GAP), y + HEAD + (number // columns) * (height + GAP)
        parts.append(_card(card, left, top, width, height))
    return el("g", *parts), end


def _columns(count: int) -> int:
    """Five hosts stand better as 3 + 2 than as 4 + 1, and one does not fill the width."""
    rows = -(-count // 4)  # an empty band has none
    return max(3, -(-count // rows)) if rows else 1


def _card(card: _Card, x: float, y: float, width: float, height: float) -> Html:
    box = el("rect", x=x, y=y, width=width, height=height, rx=6, class_=f"card {card.state.value}{' silent' if card.silent else ''}")
    room = int((width - 20) / LETTER)
    said = []
    for number, (left, right, state) in enumerate(card.lines):
        at = y + 20 + number * LINE
        fit = max(room - len(right) - 1, 6) if right else room
        said.append(el("text", _cut(left, fit), x=x + 10, y=at, class_="strong" if number == 0 else "muted"))
        if right:
            said.append(el("text", _cut(right, room), x=x + width - 10, y=at, class_=f"end {state.value if state else ''}".strip()))
    return el("g", el("title", card.title), box, join(said))


def _cut(text: str, room: int) -> str:
    """A drawing has no second line; the tables have the whole text."""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _state(view: View, place: Place) -> tuple[State, str]:
    """How the host is, in a word."""
    if view.status is None:
        return State.UNKNOWN, ""
    if place.name in view.silent:
        return State.BAD, "no answer"
    node = next((node for node in view.status.nodes if node.name == place.name), None)
    if node is None:
        return State.OK, "answers"
    return (State.OK, "Ready") if node.ready else (State.BAD, "absent" if node.status == "absent" else "not Ready")


def _full(view: View, place: Place) -> _Card:
    state, word = _state(view, place)
    shown = f"{SYMBOLS[state]} {word}" if word else ""
    lines: list[tuple[str, str, State | None]] = [(place.name, shown, state if word else None), (" + ".join(place.roles), place.address, None)]
    silent = place.name in view.silent
    if place.is_master and view.installed and not silent:
        lines += _control_plane(view, place.name)
    elif place.is_master and view.installed:
        lines += [("etcd", "? not known", State.UNKNOWN), ("API server", "? not known", State.UNKNOWN)]
    lines.append(("pods", place.pod_range, None))
    states = {each for _, _, each in lines}
    return _Card(
        state=State.BAD if State.BAD in states else state, silent=silent, title=f"{place.name} {place.address} {word}".strip(), lines=tuple(lines)
    )


def _control_plane(view: View, name: str) -> list[tuple[str, str, State | None]]:
    assert view.status is not None  # noqa: S101  only an asked cluster is installed
    member = next((each for each in view.status.members if each.host == name), None)
    api = next((each for each in view.status.apis if each.host == name), None)
    if member is None or member.reason:
        etcd = ("etcd", "✗ not well", State.BAD)
    else:
        etcd = (f"etcd {member.version}", "★ leader" if member.leader else "✓ follower", State.OK)
    ready = api is not None and not api.reason
    return [etcd, ("API server", "✓ ready", State.OK) if ready else ("API server", "✗ not ready", State.BAD)]


def _small(view: View, place: Place) -> _Card:
    state, word = _state(view, place)
    lines = ((place.name, SYMBOLS[state] if word else "", state), (place.address, "", None), (place.pod_range, "", None))
    return _Card(state=state, silent=place.name in view.silent, title=f"{place.name} {place.address} {word}".strip(), lines=lines)
