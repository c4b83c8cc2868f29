"""A kubeconfig as YAML: read so that nothing is lost unseen, written so that kubectl reads the same. Marks of whose an entry is.

kubectl's YAML (go-yaml 2) and PyYAML disagree about plain scalars: ``y``, ``0o14`` and ``1e3`` are no strings there. So what we write is quoted
unless it is plainly a word, and what others wrote is edited as nodes, whose text and quotes stay as they were (``edit``).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml

try:
    from yaml import CBaseDumper as BaseDumper
    from yaml import CBaseLoader as BaseLoader
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same, ten times slower
    from yaml import BaseDumper, BaseLoader, SafeDumper, SafeLoader  # type: ignore[assignment]

from kbootstrap.errors import UsageError

__all__ = ["LISTS", "BaseLoader", "Document", "SafeLoader", "compose", "dump", "mark", "named", "owner_of", "parse", "serialize"]
EXTENSION: Final = "kbootstrap"
LISTS: Final[Mapping[str, str]] = {"clusters": "cluster", "users": "user", "contexts": "context"}
"""Name of a list → the key that holds an entry's body."""
Document = dict[str, Any]
_WIDE: Final = 2**31 - 1
_NO_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./@+=-]*(?::[A-Za-z0-9_./@+=\[\]-]+)*")


class _Loader(SafeLoader):
    """Refuses a key given twice: the first one would silently be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _as_text(loader: SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


for _tag in ("value", "timestamp", "merge"):  # ``=``, a date, ``<<`` as a value: texts to kubectl
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _as_text)


class _Dumper(SafeDumper):
    """Quotes every text that is not plainly a word in each dialect of YAML."""


def _text(dumper: SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _WORD.fullmatch(text) and text.lower() not in _NO_WORDS else '"')


_Dumper.add_representer(str, _text)


def parse(text: str) -> Document:
    """*text* as a kubeconfig document; an empty text is an empty document.

    Raises UsageError for what kubectl would refuse or lose: no YAML, no mapping, a key or a name given twice, an entry without a name.
    """
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  # _Loader is a SafeLoader
    except yaml.YAMLError as error:
        raise UsageError(f"The kubeconfig is not YAML: {_line(error)}.") from error
    except (ValueError, TypeError, RecursionError) as error:  # a number without an end, a key that cannot be one, an endless nest
        raise UsageError("The kubeconfig is not YAML that can be read.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError("The kubeconfig is not a mapping.")
    for kind in LISTS:
        named(document, kind)
    return document


def compose(text: str) -> yaml.MappingNode:
    """*text*, which ``parse`` accepts, as nodes that keep every scalar's own text and quotes, whatever it may mean to whom."""
    node = yaml.compose(text, BaseLoader)
    if not isinstance(node, yaml.MappingNode):
        return yaml.MappingNode("tag:yaml.org,2002:map", [], flow_style=False)
    _spell_nothing(node, set())
    return node


def _spell_nothing(node: yaml.Node, seen: set[int]) -> None:
    """A value that is left out must be written as ``null``: the emitter would make an empty text of it."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode) and not node.value and not node.style:
        node.value = "null"
    elif isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for each in item if isinstance(item, tuple) else (item,):
                _spell_nothing(each, seen)


def serialize(node: yaml.MappingNode) -> str:
    """The inverse of ``compose``; comments are gone."""
    return str(yaml.serialize(node, Dumper=BaseDumper, allow_unicode=True, width=_WIDE))


def dump(document: Document) -> str:
    """A document of ours as text."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE))


def named(document: Document, kind: str) -> dict[str, Any]:
    """Name → entry of one of the document's lists, in its order. A name that is a number there is a text to kubectl, and here."""
    entries = document.get(kind) or []
    found = {_name(e): e for e in entries if isinstance(e, dict) and _name(e)} if isinstance(entries, list) else {}
    if not isinstance(entries, list) or len(found) != len(entries):
        raise UsageError(f"The kubeconfig's {kind} are not a list of entries with a name each, every name once.")
    return found


def _name(entry: Mapping[str, Any]) -> str:
    name = entry.get("name")
    if isinstance(name, bool):
        return str(name).lower()
    return str(name) if isinstance(name, str | int) else ""


def mark(cluster: str, owner: str) -> Document:
    """What makes an entry's body ours; nothing without an *owner*. Each body gets its own: a shared one would be written as a YAML alias."""
    return {"extensions": [{"name": EXTENSION, "extension": {"cluster": cluster, "owner": owner}}]} if owner else {}


def owner_of(body: object) -> str:
    """Who marked the body of an entry; empty when nobody of ours did."""
    extensions = body.get("extensions") if isinstance(body, dict) else None
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == EXTENSION and isinstance(extension.get("extension"), dict):
            return str(extension["extension"].get("owner") or "")
    return ""


def _line(error: yaml.YAMLError) -> str:
    """Where and what, without the text around it, which may be a key."""
    place = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "it holds a character that YAML does not allow"
    return f"{what}, line {place.line + 1}" if place else str(what)
