"""Our entries into the files that a user's kubectl reads, and out again. Nobody else's entry changes, not even in the way it is written.

kubectl reads a list of files: of two entries with one name the first file's counts, a changed entry is written where it stands, a new one into
the list's home file, and the first current-context counts (client-go, tools/clientcmd: Load, ModifyConfig, GetDefaultFilename).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from kbootstrap.errors import Problem, UsageError
from kbootstrap.kubeconfig.document import LISTS, Document, compose, dump, named, owner_of, parse, serialize

CURRENT: Final = "current-context"
_TOP: Final = (("apiVersion", "v1"), ("kind", "Config"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """*texts* as they shall be, in the order given (the same text where nothing changes); *entries*: how many were written or removed.

    *current* is the current context afterwards; *cleared* the one that was taken away with its entry; *dangling* are contexts of others that
    lead to an entry which is gone.
    """

    texts: tuple[str, ...]
    entries: int
    current: str
    cleared: str = ""
    dangling: tuple[str, ...] = ()


class _File:
    """One file under the knife: its values, to compare, and its nodes, to write."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.document: Document = parse(text)
        self.names = {kind: list(named(self.document, kind)) for kind in LISTS}
        self._root = compose(text)
        self._touched = False

    @property
    def current(self) -> str:
        return str(self.document.get(CURRENT) or "")

    def entry(self, kind: str, name: str) -> Any:
        return named(self.document, kind).get(name)

    def put(self, kind: str, name: str, node: yaml.Node) -> None:
        """The entry in its place, or at the end."""
        nodes, there = self._nodes(kind), self.names[kind]
        if name in there:
            nodes[there.index(name)] = node
        else:
            nodes.append(node)
            there.append(name)
        self._set_list(kind, nodes)

    def drop(self, kind: str, gone: Collection[str]) -> None:
        nodes = self._nodes(kind)
        self._set_list(kind, [node for node, name in zip(nodes, self.names[kind], strict=True) if name not in gone])
        self.names[kind] = [name for name in self.names[kind] if name not in gone]

    def select(self, context: str) -> None:
        """The current context; empty: none."""
        self._set(CURRENT, _scalar(context))
        self.document[CURRENT] = context

    def finished(self) -> str:
        """The text as it was when nothing was changed, comments and all."""
        if not self._touched:
            return self.text
        there = [key.value for key, _ in self._root.value]
        self._root.value[:0] = [(_scalar(key), _scalar(value)) for key, value in _TOP if key not in there]
        return serialize(self._root)

    def _nodes(self, kind: str) -> list[yaml.Node]:
        found = next((value for key, value in self._root.value if key.value == kind), None)
        if found is None and self.document.get(kind):
            raise UsageError(f"The kubeconfig takes its {kind} from elsewhere by a YAML merge key (<<).", hint="Write them out first.")
        return list(found.value) if isinstance(found, yaml.SequenceNode) else []

    def _set_list(self, kind: str, nodes: list[yaml.Node]) -> None:
        # A new list node: the old one may stand elsewhere too, by an alias.
        self._set(kind, yaml.SequenceNode("tag:yaml.org,2002:seq", nodes, flow_style=not nodes))

    def _set(self, name: str, value: yaml.Node) -> None:
        self._touched = True
        for index, (key, _) in enumerate(self._root.value):
            if key.value == name:
                self._root.value[index] = (key, value)
                return
        self._root.value.append((_scalar(name), value))
        self._root.flow_style = self._root.flow_style and len(self._root.value) > 1  # ``{}`` grows in block style


def _scalar(text: str) -> yaml.Node:
    """A text as a node, quoted where ours are."""
    values: list[yaml.Node] = [value for _, value in compose(dump({"text": text})).value]
    return values[0]


def merge(existing: str, new: str, *, owners: Collection[str] = (), force: bool = False, use: bool = False) -> str:
    """``merge_all`` for a single file."""
    return merge_all([existing], new, owners=owners, force=force, use=use).texts[0]


def merge_all(existing: Sequence[str], new: str, *, home: int = 0, owners: Collection[str] = (), force: bool = False, use: bool = False) -> Edited:
    """*existing* (files in kubectl's order, "" for one that is not there) with every entry of *new*.

    An entry of ours, by *owners* or by the mark in *new*, is replaced where it stands; others are added at the end of the file *home*; nothing
    else changes, not even in the way it is written, except that comments of a changed file are lost. The current context stays unless there is
    none or *use* is set. UsageError when an entry of the same name is not ours, with all of them at once; *force* replaces them.
    """
    files, addition, nodes = [_File(text) for text in existing], parse(new), compose(new)
    by_key = {key.value: value for key, value in nodes.value}
    ours = {*owners, *(owner_of(e.get(noun)) for kind, noun in LISTS.items() for e in named(addition, kind).values())} - {""}
    if not force and (foreign := _foreign(files, addition, ours)):
        raise UsageError(
            f"The kubeconfig already has {foreign[0].where}, which is not ours.",
            hint="Rename it with kubectl config, or replace it with --force.",
            problems=foreign,
        )
    written = 0
    for kind in LISTS:
        for (name, entry), node in zip(named(addition, kind).items(), by_key[kind].value, strict=True):
            target = next((file for file in files if name in file.names[kind]), files[home])
            if target.entry(kind, name) != entry:
                target.put(kind, name, node)
                written += 1
    current = next((file.current for file in files if file.current), "")
    wanted = str(addition.get(CURRENT) or "") if use or not current else current
    if wanted != current:
        files[home].select(wanted)
    return Edited(texts=tuple(file.finished() for file in files), entries=written, current=wanted)


def remove(existing: Sequence[str], *, owners: Collection[str]) -> Edited:
    """*existing* without any entry that one of *owners* marked, and without a current context that leads to one."""
    files = [_File(text) for text in existing]
    gone: dict[str, set[str]] = {kind: set() for kind in LISTS}
    for file in files:
        for kind, noun in LISTS.items():
            mine = {name for name, entry in named(file.document, kind).items() if owner_of(entry.get(noun)) in owners}
            if mine:
                file.drop(kind, mine)
                gone[kind] |= mine
    left = {kind: {name for file in files for name in file.names[kind]} for kind in LISTS}
    lost = {kind: names - left[kind] for kind, names in gone.items()}  # of two with one name another's may stay
    cleared = next((file.current for file in files if file.current in lost["contexts"]), "")
    for file in files:
        if file.current in lost["contexts"]:
            file.select("")
    return Edited(
        texts=tuple(file.finished() for file in files),
        entries=sum(map(len, gone.values())),
        current=next((file.current for file in files if file.current), ""),
        cleared=cleared,
        dangling=tuple(sorted(name for file in files for name in file.names["contexts"] if _leads(file, name, lost))),
    )


def _leads(file: _File, name: str, lost: dict[str, set[str]]) -> bool:
    context = file.entry("contexts", name).get("context")
    return isinstance(context, dict) and (context.get("cluster") in lost["clusters"] or context.get("user") in lost["users"])


def _foreign(files: Sequence[_File], addition: Document, ours: Collection[str]) -> list[Problem]:
    found = []
    for kind, noun in LISTS.items():
        for name, entry in named(addition, kind).items():
            there = next((file.entry(kind, name) for file in files if name in file.names[kind]), None)
            if there is not None and there != entry and owner_of(there.get(noun)) not in ours:
                found.append(Problem(where=f"the {noun} {name!r}", what="belongs to somebody else."))
    return found
