"""The tree that a YAML text becomes: scalars as the user wrote them, and the line and column of everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kbootstrap.inventory.finding import Finding, Mark
from kbootstrap.inventory.scalars import plain_value

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A leaf as the user wrote it; ``plain`` means without quotes."""

    mark: Mark
    text: str
    plain: bool
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list."""

    mark: Mark
    items: tuple[Node, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping; ``keys`` holds where each key stands."""

    mark: Mark
    entries: Mapping[str, Node] = field(default_factory=dict)
    keys: Mapping[str, Scalar] = field(default_factory=dict)
    size: int = 1


Node = Scalar | Sequence | Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A parsed text called *name* (what messages show as the file)."""

    name: str
    root: Table = Table(mark=Mark())

    def node(self, path: Path) -> Node | None:
        """What stands at *path*, if anything does."""
        node, rest, _ = self._walk(path)
        return None if rest else node

    def is_empty(self, path: Path) -> bool:
        """Whether nothing, or only an empty value, stands at *path*."""
        node = self.node(path)
        return node is None or (isinstance(node, Scalar) and node.plain and plain_value(node.text) is None)

    def mark(self, path: Path, *, value: bool = False) -> Mark:
        """Where *path* stands, or the nearest part of it that exists: the key, or with *value* what is behind it."""
        node, rest, key = self._walk(path)
        return node.mark if value and not rest else key

    def _walk(self, path: Path) -> tuple[Node, Path, Mark]:
        node: Node = self.root
        key = Mark()
        for index, step in enumerate(path):
            if isinstance(node, Table) and isinstance(step, str) and step in node.entries:
                key, node = node.keys[step].mark, node.entries[step]
            elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                key = node.mark
            else:
                return node, path[index:], key
        return node, (), key

    def where(self, mark: Mark) -> str:
        """``cluster.yml:12:5``."""
        return f"{self.name}:{mark}"

    def finding(self, path: Path, what: str, hint: str = "", *, value: bool = False) -> Finding:
        """An error at *path*."""
        mark = self.mark(path, value=value)
        return Finding(where=self.where(mark), mark=mark, what=what, hint=hint)
