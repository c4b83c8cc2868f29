"""``role.yml`` → RoleDef. The vocabulary is closed: what is not in these tables is an error with file:line:column and the nearest known word.

YAML is read as nodes, not as values, so that ``0644`` stays a mode and ``off`` a word, and every problem has its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kbootstrap.errors import Problem, RoleError
from kbootstrap.rolebook.predicates import PREDICATES
from kbootstrap.rolebook.role import (
    BinaryDef,
    DirectoryDef,
    FileDef,
    Input,
    ManifestDef,
    On,
    RoleDef,
    Rollout,
    ServiceDef,
    UserDef,
)

T = TypeVar("T")
Reader = Callable[[Node], Any]
_MODE: Final = re.compile(r"0[0-7]{3}")


class _Wrong(Exception):
    """A node that cannot be read; becomes a Problem where the file's name is known."""

    def __init__(self, node: Node, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.node, self.what, self.hint = node, what, hint


def role(text: str, where: str) -> RoleDef:
    """The role that *text* describes; *where* is its file name for messages. RoleError names the first thing that is wrong."""
    try:
        root = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise _error(Problem(where=place, what=f"not YAML: {error.problem}")) from None
    if root is None:
        raise _error(Problem(where=where, what="empty", hint="A role needs at least name and on."))
    try:
        return RoleDef(**_fields(root, _ROLE, needed=("name", "on")))
    except _Wrong as wrong:
        mark = wrong.node.start_mark
        raise _error(Problem(where=f"{where}:{mark.line + 1}:{mark.column + 1}", what=wrong.what, hint=wrong.hint)) from None


def _composed(text: str) -> Node | None:
    """libyaml is ten times as quick, and every run reads every role; of a mistake the slow one tells the place better."""
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _error(problem: Problem) -> RoleError:
    return RoleError(str(problem), problems=(problem,))


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known))}."


def _text(node: Node) -> str:
    if not isinstance(node, ScalarNode) or not node.value:
        raise _Wrong(node, "expected a word")
    return str(node.value)


def _path(node: Node) -> str:
    text = _text(node)
    if not text.startswith("/") or text.endswith("/") or "//" in text or "/../" in text:
        raise _Wrong(node, f"{text!r} is not an absolute path")
    return text


def _mode(node: Node) -> int:
    text = _text(node)
    if not _MODE.fullmatch(text):
        raise _Wrong(node, f"{text!r} is not a file mode", "Write four octal digits, such as 0644.")
    return int(text, 8)


def _flag(node: Node) -> bool:
    text = _text(node)
    if text not in ("true", "false"):
        raise _Wrong(node, f"{text!r} is neither true nor false")
    return text == "true"


def _word(known: Iterable[str]) -> Callable[[Node], str]:
    choices = tuple(str(choice) for choice in known)

    def read(node: Node) -> str:
        text = _text(node)
        if text not in choices:
            raise _Wrong(node, f"unknown word {text!r}", _nearest(text, choices))
        return text

    return read


def _many(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    def read_all(node: Node) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            raise _Wrong(node, "expected a list")
        return tuple(read(item) for item in node.value)

    return read_all


def _pairs(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple((_text(key), _text(value)) for key, value in _entries(node))


def _entries(node: Node) -> list[tuple[ScalarNode, Node]]:
    if not isinstance(node, MappingNode):
        raise _Wrong(node, "expected key: value")
    seen: set[str] = set()
    for key, _ in node.value:
        if _text(key) in seen:
            raise _Wrong(key, f"{key.value!r} is given twice")
        seen.add(key.value)
    return list(node.value)


def _fields(node: Node, readers: Mapping[str, Reader], needed: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in _entries(node):
        if key.value not in readers:
            raise _Wrong(key, f"unknown key {key.value!r}", _nearest(key.value, readers))
        found[key.value] = readers[key.value](value)
    for name in needed:
        if name not in found:
            raise _Wrong(node, f"{name} is missing")
    if "service" in found:
        found["services"] = (found.pop("service"), *found.get("services", ()))
    return found


def _object(kind: Callable[..., T], needed: tuple[str, ...], **readers: Reader) -> Callable[[Node], T]:
    return lambda node: kind(**_fields(node, readers, needed))


def _binary(node: Node) -> BinaryDef:
    return BinaryDef(name=_text(node)) if isinstance(node, ScalarNode) else _LINKED_BINARY(node)


_LINKED_BINARY: Final = _object(BinaryDef, ("name", "path"), name=_text, path=_path)
_INPUT: Final = _word(Input)
_INPUTS: Final = _many(lambda node: Input(_INPUT(node)))
_SERVICE: Final = _object(ServiceDef, ("unit", "template"), unit=_text, template=_text, inputs=_INPUTS, reloads=_INPUTS)
_FILE: Final = _object(FileDef, ("path", "template"), path=_path, template=_text, mode=_mode, owner=_text, secret=_flag)

_ROLE: Final[Mapping[str, Reader]] = {
    "name": _text,
    "on": lambda node: On(_word(On)(node)),
    "when": _word(PREDICATES),
    "rollout": lambda node: Rollout(_word(Rollout)(node)),
    "users": _many(_object(UserDef, ("name", "home"), name=_text, home=_path)),
    "packages": _many(_text),
    "directories": _many(_object(DirectoryDef, ("path",), path=_path, mode=_mode, owner=_text)),
    "modules": _many(_text),
    "sysctl": _pairs,
    "swap": _word(("off",)),
    "firewall": _word(("matrix",)),
    "binaries": _many(_binary),
    "images": _many(_text),
    "certs": _many(_text),
    "kubeconfigs": _many(_text),
    "files": _many(_FILE),
    "manifests": _many(_object(ManifestDef, ("template",), template=_text)),
    "service": _SERVICE,
    "services": _many(_SERVICE),
    "health": _text,
    "vars": _pairs,
}
