"""Kubeconfigs of other people for tests: random ones, in every way in which they are written, and what must be the same about them afterwards."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from kbootstrap import kubeconfig
from kbootstrap.kubeconfig.document import BaseLoader, SafeLoader
from kbootstrap.testing.builders import a_cluster, a_pki

OWNER = "0d9bd8ae-6d9e-4b4a-a8b5-1f0a3c6c4a55"
OURS = kubeconfig.admin(a_cluster(), a_pki(), owner=OWNER)
KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}
CHANGING = (*KINDS, "current-context")

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
odd = st.sampled_from(
    ["yes", "1", "null", "- x", "a: b", "#", "y", "1e3", "0o14", "~", "<<", "=", "lab-m1x", "kubernetes-admin@lab", "é", "\U0001f980"]
)
names = st.one_of(texts.filter(bool), odd)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts, odd),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def _entries(noun: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.fixed_dictionaries({"name": names, noun: st.dictionaries(texts, values, max_size=4)})
    return st.lists(entry, max_size=4, unique_by=lambda e: str(e["name"]))


documents = st.fixed_dictionaries(
    {},
    optional={
        **{kind: st.one_of(st.none(), _entries(noun)) for kind, noun in KINDS.items()},
        "current-context": names,
        "preferences": st.dictionaries(texts, values, max_size=2),
        "apiVersion": st.just("v1"),
        "kind": st.just("Config"),
    },
)


@st.composite
def written(draw: st.DrawFn) -> str:
    """A kubeconfig's text: as block or flow, quoted in one way or another, as JSON, or an empty file."""
    document = draw(documents)
    how = draw(st.integers(0, 6))
    if how == 0:
        return draw(st.sampled_from(["", "# nothing yet\n", "{}\n", "---\n"]))
    if how == 1:
        return json.dumps(document, indent=draw(st.sampled_from([None, 2])), ensure_ascii=False)  # \\u pairs are no YAML
    style = draw(st.sampled_from([None, None, '"', "'", "|"]))
    flow = draw(st.sampled_from([False, False, True, None]))
    return str(yaml.safe_dump(document, sort_keys=False, default_style=style, default_flow_style=flow, allow_unicode=draw(st.booleans())))


def meaning(text: str) -> dict[str, Any]:
    """What a kubeconfig says; an absent list and an empty one, no current context and an empty one are the same to kubectl."""
    found = dict(yaml.load(text, SafeLoader) or {})  # noqa: S506  it is a safe one
    for kind in KINDS:
        found[kind] = found.get(kind) or []
    found["current-context"] = found.get("current-context") or ""
    return {"apiVersion": "v1", "kind": "Config", **found}


def spelling(text: str) -> dict[str, list[Any]]:
    """How every entry is written: tags, texts, quoted or not, which decide what another dialect of YAML reads."""
    root = yaml.compose(text, BaseLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return {key.value: [_spelt(node) for node in value.value] for key, value in pairs if key.value in KINDS and isinstance(value, yaml.SequenceNode)}


def _spelt(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        plain = not node.style and all(ord(letter) < 2**16 for letter in node.value)  # libyaml escapes what lies above
        return (node.tag, node.value, plain)
    if isinstance(node, yaml.SequenceNode):
        return [_spelt(item) for item in node.value]
    return [(_spelt(key), _spelt(value)) for key, value in node.value]


def merge_and_remove(files: list[str]) -> None:
    """The property: after a merge everybody's entries are what they were, and after the removal the files are, too."""
    merged = kubeconfig.merge_all(files, OURS)
    added = meaning(OURS)
    for index, (before, after) in enumerate(zip(files, merged.texts, strict=True)):
        old, new, ours = meaning(before), meaning(after), index == 0
        for kind in KINDS:
            assert new[kind] == old[kind] + (added[kind] if ours else [])
            assert spelling(after).get(kind, [])[: len(old[kind])] == spelling(before).get(kind, [])
        assert {**new, **dict.fromkeys(CHANGING)} == {**old, **dict.fromkeys(CHANGING)}
    assert kubeconfig.merge_all(merged.texts, OURS).texts == merged.texts
    before_context = next((context for text in files if (context := meaning(text)["current-context"])), "")
    assert merged.current == str(before_context or added["current-context"])
    removed = kubeconfig.remove(merged.texts, owners={OWNER})
    assert [meaning(text) for text in removed.texts] == [meaning(text) for text in files]
    assert removed.cleared == ("" if before_context else merged.current)
