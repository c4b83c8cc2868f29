"""Wanted ⊆ live, as a law: what holds is never a difference, and every difference is named. Single cases: tests/cases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.errors import TemplateError
from kbootstrap.model.resource import Manifest, Node
from kbootstrap.plan import manifests

LEAVES = st.one_of(st.text(max_size=5), st.integers(), st.booleans())
NAMES = st.text(max_size=3)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)


def grown(document: Any) -> Any:
    """As an API server answers: everything that was sent, and more."""
    if isinstance(document, dict):
        return {**{key: grown(value) for key, value in document.items()}, "added": "by the server"}
    return [grown(value) for value in document] if isinstance(document, list) else document


@given(DOCUMENTS)
def test_what_the_server_adds_is_no_difference(document: Any) -> None:
    assert list(manifests.missing(document, grown(document))) == []


@given(st.dictionaries(st.text(max_size=3), LEAVES, min_size=1, max_size=4), st.data())
def test_every_changed_leaf_is_named(document: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(document)))
    (said,) = manifests.missing(document, {**document, key: "something else entirely"})
    assert said.startswith(f"{key} is something else".lstrip("."))


@given(DOCUMENTS)
def test_against_nothing_only_empty_wishes_hold(document: Any) -> None:
    assert (not list(manifests.missing(document, None))) is (document in ({}, []) and document is not False)


def test_a_kind_with_other_type_is_told_not_raised() -> None:
    assert list(manifests.missing({"spec": {"a": 1}}, {"spec": ["a"]})) == ['spec is ["a"], want {"a": 1}']
    assert list(manifests.missing({"spec": ["a"]}, {"spec": {"a": 1}})) == ['spec is {"a": 1}, want ["a"]']
    assert list(manifests.missing({"spec": "abc"}, {"spec": ["a", "b", "c"]})) == ['spec is ["a", "b", "c"], want abc']


def test_a_named_list_may_come_in_another_order() -> None:
    want = {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}
    have = {"ports": [{"name": "b", "port": 2}, {"name": "a", "port": 9}]}
    assert list(manifests.missing(want, have)) == ["ports[a].port is 9, want 1"]


@pytest.mark.parametrize(
    "text", ["a: b: c", "just text", "kind: ConfigMap\n", "kind: ConfigMap\nmetadata: {}\n", "kind: ConfigMap\nmetadata: text\n"]
)
def test_what_is_no_manifest_is_the_templates_fault(text: str) -> None:
    with pytest.raises(TemplateError, match=r"x\.yaml\.j2"):
        manifests.parse(text, "x.yaml.j2")


def test_several_documents_and_empty_ones() -> None:
    text = "---\n---\nkind: Namespace\nmetadata: {name: a}\n---\nkind: Service\nmetadata: {name: b, namespace: a}\n"
    assert [m.name for m in manifests.parse(text, "x")] == ["Namespace/a", "Service/a/b"]


def test_what_is_asked_for_is_the_identity_alone() -> None:
    node = Node(name="w1", labels={"a": "b"}, taints=("x:NoSchedule",), pod_range="10.244.0.0/24")
    service = Manifest(
        name="Service/a/b", document={"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b", "namespace": "a"}, "spec": {"x": 1}}
    )
    asked = json.loads(manifests.as_list(manifests.stub(resource) for resource in (node, service)))
    assert asked["items"] == [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b", "namespace": "a"}},
    ]


def test_a_list_and_a_single_object_are_both_read() -> None:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
    want = [Manifest(name="ConfigMap/c", document=document)]
    assert manifests.compare(want, document) == manifests.compare(want, {"kind": "List", "items": [document]}) == ()
    assert len(manifests.compare(want, {"kind": "List", "items": []})) == 1
