"""Edits of ``cluster.yml`` as text: what a command changed on the hosts is written where the operator wrote it; comments and layout stay."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml

from kbootstrap.errors import InventoryError


def with_version(text: str, version: str) -> str:
    """*text* with ``kubernetes: "<version>"`` at the top. InventoryError where that cannot be edited without changing more (an alias, an anchor)."""
    key, value = _top(text, "kubernetes")
    written = f'Write `kubernetes: "{version}"`.'
    if value.start_mark.index < key.end_mark.index:
        raise InventoryError("kubernetes: in cluster.yml is an alias, which no command edits", hint=written)
    if not value.value or value.style in ("|", ">"):
        raise InventoryError("kubernetes: in cluster.yml has no value on its line, which no command edits", hint=written)
    tokens = yaml.scan(text, Loader=yaml.SafeLoader)  # a node begins with its anchor, a token does not
    start = next(t.start_mark.index for t in tokens if isinstance(t, yaml.ScalarToken) and t.end_mark.index == value.end_mark.index)
    new = f'{text[:start]}"{version}"{text[value.end_mark.index :]}'
    if start > value.start_mark.index and yaml.safe_load(new) != {**yaml.safe_load(text), key.value: version}:
        what = "kubernetes: in cluster.yml has an anchor, and what refers to it would change as well"
        raise InventoryError(what, hint=f"{written} Write those values out, too.")
    return new


def diff(before: str, after: str, name: str) -> Iterator[str]:
    """The unified diff of two texts of the file *name*, as people read it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"{name} (before)", f"{name} (now)", lineterm="")
    yield from lines


def _top(text: str, name: str) -> tuple[yaml.Node, yaml.ScalarNode]:
    """Key and value of *name* at the top, with the indices where they stand. The Python loader: the C one counts bytes."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise InventoryError(f"cluster.yml is no YAML any more: {error}", hint="invoke inventory.check") from error
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == name and isinstance(value, yaml.ScalarNode):
            return key, value
    raise InventoryError(f"cluster.yml has no line `{name}:` that could be edited")
