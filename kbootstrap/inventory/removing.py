"""Hosts taken out of the text of a ``cluster.yml``; every other character stays, comments and layout too.

Cut by the places of YAML's events, which are exact where those of nodes are not: an alias is where it stands, not where its anchor is. What comes
out is read again, and refused if anything but those hosts has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from kbootstrap.errors import InventoryError
from kbootstrap.inventory.loading import any_error, check
from kbootstrap.model.cluster import ClusterSpec

ROLES: Final = ("masters", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A node between two offsets of the text. *pairs* of a mapping, *items* of a list; *flow*: in braces or brackets."""

    start: int
    end: int
    text: str = ""
    flow: bool = False
    pairs: tuple[tuple[_Place, _Place], ...] = ()
    items: tuple[_Place, ...] = ()

    def below(self, key: str) -> _Place | None:
        return next((value for name, value in self.pairs if name.text == key), None)


Cut = tuple[int, int]


def without(text: str, names: Collection[str], path: str, *, folder: Path = Path()) -> tuple[str, ClusterSpec]:
    """*text* without the hosts *names*, and the cluster that it then describes.

    InventoryError if *text* describes none; if none would be left (its findings say why: an even number of masters, say); or if the text cannot
    be cut without other changes.
    """
    before, faults = check(text, path, folder=folder)
    if before is None:
        raise InventoryError(f"{path} describes no cluster", problems=faults, hint="invoke inventory.check")
    events = yaml.parse(text, Loader=yaml.SafeLoader)
    next(events), next(events)  # the stream, the document
    root = _place(text, next(events), events)
    cuts = sorted(cut for where in _lists(root) for cut in _cuts(text, where, names))
    new = text
    for start, end in reversed(cuts):
        new = new[:start] + new[end:]
    after, findings = check(new, f"{path} without {', '.join(sorted(names))}", folder=folder)
    if after is None or any_error(findings):
        problems = [each for each in findings if any_error([each])]
        hint = "Several hosts may leave in one command, so that an odd number of masters stays: m4,m5."
        raise InventoryError("what would be left is no cluster; nothing was changed", problems=problems, hint=hint)
    if after != replace(before, hosts=tuple(host for host in before.hosts if host.name not in names)):
        hint = "Write each of them on a line of its own, without anchors that other hosts use, and run it again."
        raise InventoryError(f"{', '.join(sorted(names))} cannot be cut out of {path} without changing more; nothing was changed", hint=hint)
    return new, after


def _lists(root: _Place) -> Iterator[_Place]:
    """Where names of hosts stand: below hosts, and in each group."""
    hosts, groups = root.below("hosts"), root.below("groups")
    yield from (found for role in ROLES if hosts and (found := hosts.below(role)))
    yield from (found for _, group in (groups.pairs if groups else ()) if (found := group.below("hosts")))


def _cuts(text: str, where: _Place, names: Collection[str]) -> Iterator[Cut]:
    spans = [(key.text in names, key.start, value.end) for key, value in where.pairs] + [(i.text in names, i.start, i.end) for i in where.items]
    if not where.flow:
        yield from (_lines(text, start, end) for gone, start, end in spans if gone)
        return
    kept = [number for number, (gone, _, _) in enumerate(spans) if not gone]
    for number, (gone, start, end) in enumerate(spans):
        if not gone:
            continue
        if kept and number > kept[-1]:  # the comma before it goes
            yield spans[number - 1][2], end
        else:  # the comma behind it, up to what follows
            yield start, spans[number + 1][1] if number + 1 < len(spans) else end


def _lines(text: str, start: int, end: int) -> Cut:
    """The whole lines of an entry, with what is written behind it and the comments that are indented as its own."""
    first = text.rfind("\n", 0, start) + 1
    indent = start - first
    last = _line_end(text, end)
    probe = last
    while probe < len(text):
        line = text[probe : _line_end(text, probe)]
        stripped = line.strip()
        if stripped and (not stripped.startswith("#") or len(line) - len(line.lstrip()) <= indent):
            break
        probe += len(line)
        last = probe if stripped else last
    return first, last


def _line_end(text: str, offset: int) -> int:
    """The offset behind the end of the line."""
    return text.find("\n", offset) + 1 or len(text)


def _place(text: str, event: Any, events: Iterator[Any]) -> _Place:
    start, end = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.MappingStartEvent):
        pairs = []
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            pairs.append((_place(text, key, events), _place(text, next(events), events)))
        return _Place(
            start=start, end=_end(key, [value for _, value in pairs], flow=bool(event.flow_style)), flow=bool(event.flow_style), pairs=tuple(pairs)
        )
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_place(text, item, events))
        return _Place(start=start, end=_end(item, items, flow=bool(event.flow_style)), flow=bool(event.flow_style), items=tuple(items))
    word = event.value if isinstance(event, yaml.ScalarEvent) else ""
    return _Place(start=start, end=len(text[:end].rstrip()) if word else end, text=word)


def _end(last: Any, inner: Sequence[_Place], *, flow: bool) -> int:
    """A list in brackets ends with them; one by lines ends with its last content, where YAML itself counts what follows up to the next one."""
    return int(last.end_mark.index) if flow or not inner else inner[-1].end
