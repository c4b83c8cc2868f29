"""Edits of ``cluster.yml`` as text: what a command changed on the hosts is written where the operator wrote it; comments and layout stay."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml

from kbootstrap.errors import InventoryError


def with_version(text: str, version: str) -> str:
    """*text* with ``kubernetes: "<version>"`` at the top. InventoryError where that stands in a way that cannot be edited (an alias)."""
    key, value = _top(text, "kubernetes")
    if value.start_mark.index < key.end_mark.index:
        raise InventoryError("kubernetes: in cluster.yml is an alias, which no command edits", hint=f'Write `kubernetes: "{version}"`.')
    return f'{text[: value.start_mark.index]}"{version}"{text[value.end_mark.index :]}'


def diff(before: str, after: str, name: str) -> Iterator[str]:
    """The unified diff of two texts of the file *name*, as people read it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"{name} (before)", f"{name} (now)", lineterm="")
    yield from lines


def _top(text: str, name: str) -> tuple[yaml.Node, yaml.Node]:
    """Key and value of *name* at the top, with the indices where they stand. The Python loader: the C one counts bytes."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == name and isinstance(value, yaml.ScalarNode):
            return key, value
    raise InventoryError(f"cluster.yml has no line `{name}:` that could be edited")
