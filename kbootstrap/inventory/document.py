"""YAML as a tree that remembers line and column, and reads nothing into a scalar.

Built from PyYAML's events instead of ``safe_load``, which accepts duplicate keys, turns 1.30 into 1.3, ``no`` into False and 0644 into 420, and
expands alias bombs. There are no tags and no merge keys; size, depth and the nodes after alias expansion are limited.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import yaml

from kbootstrap.inventory.finding import Finding, Mark
from kbootstrap.inventory.scalars import surprise
from kbootstrap.inventory.tree import Document, Node, Scalar, Sequence, Table

MAX_CHARACTERS: Final = 1_000_000  # a thousand hosts need a fifth of it
MAX_DEPTH: Final = 30
MAX_NODES: Final = 100_000
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ODD: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # control, format (direction marks), surrogate, private, line separators
Report = Callable[..., None]


class _BrokenError(Exception):
    """The text cannot be read on from here."""

    def __init__(self, mark: Mark, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.mark, self.what, self.hint = mark, what, hint


def parse(text: str, name: str) -> tuple[Document, list[Finding]]:
    """Read *text*; an unreadable one gives an empty document and the findings that say why. Never raises, whatever the text."""
    findings: list[Finding] = []

    def report(mark: Mark, what: str, hint: str = "") -> None:
        findings.append(Finding(where=f"{name}:{mark}", mark=mark, what=what, hint=hint))

    if text.startswith("\ufeff"):
        report(Mark(), "the file starts with a byte order mark (U+FEFF)", "Save it as UTF-8 without BOM.")
        text = text[1:]
    try:
        _refuse_odd_text(text)
        root = _Reader(text, report).document()
    except _BrokenError as error:
        report(error.mark, error.what, error.hint)
        root = Table(mark=Mark())
    return Document(name=name, root=root), findings


def odd_character(text: str) -> tuple[int, str] | None:
    """The first character that has no place in an inventory (control, invisible, direction mark): its index and its name."""
    if text.isascii() and text.isprintable():
        return None
    for index, char in enumerate(text):
        if char not in "\t\n\r" and unicodedata.category(char) in _ODD:
            return index, f"U+{ord(char):04X} ({unicodedata.name(char, 'control character').lower()})"
    return None


def _refuse_odd_text(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise _BrokenError(Mark(), f"the file has {len(text)} characters, at most {MAX_CHARACTERS} are read", "Is this a cluster.yml?")
    if odd := odd_character(text):
        index, name = odd
        line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
        raise _BrokenError(Mark(line, column), f"the character {name} is not allowed here, not even in a comment", "Remove it.")


class _Reader:
    """One pass over the parser's events; recursion is bounded by MAX_DEPTH, aliases by the size of what they repeat."""

    def __init__(self, text: str, report: Report) -> None:
        self._text = text
        self._report = report
        self._events = self._parse()
        self._anchors: dict[str, Node] = {}

    def _parse(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self._text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            place = error.problem_mark or error.context_mark
            mark = _mark(place) if place else Mark()
            raise _BrokenError(mark, *self._explained(mark, error)) from error
        except (yaml.YAMLError, ValueError) as error:
            raise _BrokenError(Mark(), "this is not YAML text") from error

    def _explained(self, mark: Mark, error: yaml.MarkedYAMLError) -> tuple[str, str]:
        lines = self._text.split("\n")
        line = lines[mark.line - 1] if mark.line <= len(lines) else ""
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return "a tab in the indentation", "YAML is indented by spaces only."
        return f"YAML cannot be read here: {error.problem}", f"({error.context})" if error.context else ""

    def document(self) -> Table:
        """The single document's mapping."""
        start = [next(self._events), next(self._events)]
        if isinstance(start[1], yaml.StreamEndEvent):
            raise _BrokenError(Mark(), "the file is empty", "`invoke inventory.new` writes one to start from.")
        root = self._node(next(self._events), 0)
        next(self._events)
        if isinstance(after := next(self._events), yaml.DocumentStartEvent):
            raise _BrokenError(_mark(after.start_mark), "a second YAML document starts here", "One file describes one cluster.")
        if not isinstance(root, Table):
            raise _BrokenError(root.mark, "expected `key: value` lines at the top", "`invoke inventory.new` writes a file to start from.")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        mark = _mark(event.start_mark)
        if depth > MAX_DEPTH:
            raise _BrokenError(mark, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark)
        if event.tag is not None:
            self._report(mark, f"the tag {event.tag} is not allowed", "Write the plain value.")
        node = self._content(event, mark, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Any, mark: Mark, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            if odd := odd_character(event.value):
                self._report(mark, f"the character {odd[1]} is not allowed", "Remove it.")
            return Scalar(mark=mark, text=event.value, plain=bool(event.implicit[0]))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(mark, depth)
        return self._table(mark, depth)

    def _alias(self, event: Any, mark: Mark) -> Node:
        if event.anchor not in self._anchors:
            raise _BrokenError(mark, f"the alias *{event.anchor} names no anchor before it")
        return self._anchors[event.anchor]

    def _sequence(self, mark: Mark, depth: int) -> Sequence:
        items: list[Node] = []
        size = 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            size = _grown(size, items[-1], mark)
        return Sequence(mark=mark, items=tuple(items), size=size)

    def _table(self, mark: Mark, depth: int) -> Table:
        entries: dict[str, Node] = {}
        keys: dict[str, Scalar] = {}
        size = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            node = self._node(next(self._events), depth + 1)
            size = _grown(size, node, mark)
            if self._usable(key, keys) and isinstance(key, Scalar):
                keys[key.text], entries[key.text] = key, node
        return Table(mark=mark, entries=entries, keys=keys, size=size)

    def _usable(self, key: Node, keys: Mapping[str, Scalar]) -> bool:
        if not isinstance(key, Scalar):
            self._report(key.mark, "a key must be a single word")
        elif key.plain and key.text == "<<":
            self._report(key.mark, "merge keys (<<) are not read", "Use groups: for settings that hosts share.")
        elif first := keys.get(key.text):
            self._report(key.mark, f"{key.text} is given twice (first at line {first.mark.line})", "Keep one of them.")
        else:
            if key.plain and (advice := surprise(key.text)):
                self._report(key.mark, f"the key {key.text} is {advice.read_as}", f"Write {advice.quoted}.")
            return True
        return False


def _grown(size: int, node: Node, mark: Mark) -> int:
    size += node.size
    if size > MAX_NODES:
        raise _BrokenError(mark, f"more than {MAX_NODES} values after aliases are expanded")
    return size


def _mark(place: Any) -> Mark:
    return Mark(place.line + 1, place.column + 1)
