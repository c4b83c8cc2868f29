"""Merging loses nothing that belongs to somebody else, and removing takes only what is ours."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap import kubeconfig
from kbootstrap.errors import UsageError
from kbootstrap.testing.builders import a_cluster, a_pki
from tests.kubeconfigs import KINDS, OURS, OWNER, merge_and_remove, spelling, written

CONTEXT = "kubernetes-admin@lab-m1"


def loaded(text: str) -> Any:
    return yaml.safe_load(text)


@settings(max_examples=60)
@given(st.lists(written(), min_size=1, max_size=3))
def test_everybody_elses_entries_survive_a_merge_and_a_removal(files: list[str]) -> None:
    merge_and_remove(files)


def test_our_entries_are_replaced_where_they_stand() -> None:
    existing = loaded(OURS)
    foreign = {"name": "theirs", "cluster": {"server": "https://x:1"}}
    existing["clusters"] = [existing["clusters"][0], foreign, *existing["clusters"][1:]]
    existing["clusters"][0]["cluster"]["server"] = "https://10.0.0.1:6443"  # an address that was true once
    merged = loaded(kubeconfig.merge(yaml.safe_dump(existing), OURS))
    assert [c["name"] for c in merged["clusters"]] == ["lab-m1", "theirs", "lab-m2", "lab-m3"]
    assert merged["clusters"][0]["cluster"]["server"] == "https://10.77.0.11:6443"
    assert merged["clusters"][1] == foreign


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_entry_of_the_same_name_is_refused_unless_forced(kind: str) -> None:
    existing = loaded(OURS)
    foreign = {"name": existing[kind][0]["name"], KINDS[kind]: {"server": "https://other:1"}}
    existing[kind][0] = foreign
    text = yaml.safe_dump(existing)
    with pytest.raises(UsageError) as caught:
        kubeconfig.merge(text, OURS)
    assert f"the {KINDS[kind]} '{foreign['name']}'" in str(caught.value)
    assert "--force" in caught.value.hint
    assert loaded(kubeconfig.merge(text, OURS, force=True)) == loaded(OURS)


def test_another_cluster_of_the_same_name_is_foreign_unless_its_mark_is_one_of_ours() -> None:
    theirs = kubeconfig.admin(a_cluster(), a_pki(), owner="a former CA")
    with pytest.raises(UsageError) as caught:
        kubeconfig.merge(theirs, OURS)
    assert len(caught.value.problems) == 7  # three clusters, three contexts, one user
    assert loaded(kubeconfig.merge(theirs, OURS, owners={"a former CA"})) == loaded(OURS)
    assert kubeconfig.remove([theirs], owners={OWNER}).texts == (theirs,)
    assert kubeconfig.remove([theirs], owners={OWNER, "a former CA"}).entries == 7


def test_the_current_context_stays_unless_asked_or_empty() -> None:
    existing = "contexts: [{name: theirs, context: {cluster: c, user: u}}]\ncurrent-context: theirs\n"
    assert loaded(kubeconfig.merge(existing, OURS))["current-context"] == "theirs"
    assert loaded(kubeconfig.merge(existing, OURS, use=True))["current-context"] == CONTEXT
    assert loaded(kubeconfig.merge("", OURS)) == loaded(OURS)


def test_in_a_list_each_entry_is_changed_in_the_first_file_that_has_it() -> None:
    old = loaded(OURS)
    old["clusters"] = old["clusters"][:1]
    old["clusters"][0]["cluster"]["server"] = "https://10.0.0.1:6443"
    del old["users"], old["contexts"], old["current-context"]
    shadow = OURS.replace("10.77.0.11", "10.9.9.9").replace("current-context", "extra")  # kubectl never looks at this copy of lab-m1
    edited = kubeconfig.merge_all(["# comment\n{}", yaml.safe_dump(old), shadow, "current-context: theirs"], OURS, home=0, use=True)
    first, second, third, fourth = edited.texts
    assert loaded(second)["clusters"][0]["cluster"]["server"] == "https://10.77.0.11:6443"
    assert (third, fourth) == (shadow, "current-context: theirs")
    assert loaded(first) == {"apiVersion": "v1", "kind": "Config", "current-context": CONTEXT}
    assert (edited.entries, edited.current) == (1, CONTEXT)


def test_removing_clears_a_current_context_of_ours_and_names_what_leads_nowhere() -> None:
    mine = "contexts:\n- {name: dev, context: {cluster: lab-m1, user: lab-kubernetes-admin, namespace: dev}}\n"
    merged = kubeconfig.merge_all([mine, f"current-context: {CONTEXT}"], OURS, use=True)
    removed = kubeconfig.remove(merged.texts, owners={OWNER})
    assert (removed.cleared, removed.current, removed.dangling, removed.entries) == (CONTEXT, "", ("dev",), 7)
    assert [loaded(text).get("current-context", "") for text in removed.texts] == ["", ""]
    assert spelling(removed.texts[0])["contexts"] == spelling(mine)["contexts"]


def test_what_needs_no_change_is_not_written_again_comments_and_all() -> None:
    text = f"# mine\n{OURS}"
    assert kubeconfig.merge(text, OURS) is text
    nothing = "# mine\ncurrent-context: x\n"
    assert kubeconfig.remove([nothing], owners={OWNER}).texts == (nothing,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- a", "not a mapping"),
        ("a: 1\na: 2", "a key is given twice, line 1"),
        ("clusters: 5", "clusters are not a list"),
        ("users: [{user: {}}]", "users are not a list"),
        ("contexts: [{name: a}, {name: a}]", "every name once"),
        ("contexts: [{name: 1}, {name: '1'}]", "every name once"),
        ("a: !!python/object:os.system {}", "not YAML"),
        ("a: \x00", "not YAML"),
        (f"a: {'9' * 5000}", "not YAML"),
        ("? {a: b}\n: c", "not YAML"),
        ("--- {}\n--- {}", "not YAML"),
        ("base: &b {clusters: [{name: x}]}\n<<: *b\n", "merge key"),
    ],
)
def test_a_broken_kubeconfig_is_refused_and_never_merged_into(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kubeconfig.merge(text, OURS)


@pytest.mark.parametrize("token", ["=", "2026-02-30", "2001-01-01", "1:30", "<<"])
def test_a_bare_word_that_only_pyyaml_finds_special_stays_as_it_is(token: str) -> None:
    text = f"users:\n- name: a\n  user:\n    token: {token}\n"
    assert kubeconfig.merge(text, OURS).startswith(f"apiVersion: v1\nkind: Config\n{text}")


def test_what_is_left_out_stays_nothing() -> None:
    text = "users: [{name: a, user: }, {name: b, user: {token: }}]\ncontexts:\n"
    assert loaded(kubeconfig.merge(text, OURS))["users"][:2] == [{"name": "a", "user": None}, {"name": "b", "user": {"token": None}}]


def test_merge_keys_anchors_and_shared_lists_are_understood() -> None:
    text = "clusters:\n- name: a\n  cluster: &c {server: 'https://a:1', x: 1}\n- name: b\n  cluster: {<<: *c, server: 'https://b:1'}\n"
    merged = loaded(kubeconfig.merge(text, OURS))
    assert merged["clusters"][1]["cluster"] == {"server": "https://b:1", "x": 1}
    shared = loaded(kubeconfig.merge("clusters: &none []\nusers: *none\ncontexts: *none\n", OURS))
    assert shared == loaded(OURS)
