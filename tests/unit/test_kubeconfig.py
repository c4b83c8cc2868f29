"""Kubeconfigs: what is built can be read, and merging loses nothing that belongs to somebody else."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap import kubeconfig
from kbootstrap.errors import UsageError
from kbootstrap.model.cluster import Endpoint, EndpointKind
from kbootstrap.testing.builders import a_cluster, a_pki

OURS = kubeconfig.admin(a_cluster(), a_pki(), owner="the CA")
KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
names = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12), st.sampled_from(["yes", "1", "null", "- x", "a: b", "#"])
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
)


def _entries(noun: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.fixed_dictionaries({"name": names, noun: st.dictionaries(texts, values, max_size=4)})
    return st.lists(entry, max_size=4, unique_by=lambda e: str(e["name"]))


documents = st.fixed_dictionaries(
    {kind: _entries(noun) for kind, noun in KINDS.items()},
    optional={"current-context": names, "preferences": st.dictionaries(texts, values, max_size=2)},
)


@settings(max_examples=80, deadline=None)
@given(documents)
def test_merging_keeps_every_foreign_entry_and_the_order(document: dict[str, Any]) -> None:
    merged = yaml.safe_load(kubeconfig.merge(yaml.safe_dump(document, sort_keys=False), OURS))
    added = yaml.safe_load(OURS)
    for kind in KINDS:
        assert merged[kind] == document[kind] + added[kind]
    assert merged["current-context"] == (document.get("current-context") or added["current-context"])
    assert merged.get("preferences") == document.get("preferences")


@settings(max_examples=25, deadline=None)
@given(documents)
def test_merging_twice_changes_nothing_more(document: dict[str, Any]) -> None:
    once = kubeconfig.merge(yaml.safe_dump(document), OURS)
    assert kubeconfig.merge(once, OURS) == once


def test_our_entries_are_replaced_where_they_stand() -> None:
    existing = yaml.safe_load(OURS)
    foreign = {"name": "theirs", "cluster": {"server": "https://x:1"}}
    existing["clusters"] = [existing["clusters"][0], foreign, *existing["clusters"][1:]]
    existing["clusters"][0]["cluster"]["server"] = "https://10.0.0.1:6443"  # an address that was true once
    merged = yaml.safe_load(kubeconfig.merge(yaml.safe_dump(existing), OURS))
    assert [c["name"] for c in merged["clusters"]] == ["lab-m1", "theirs", "lab-m2", "lab-m3"]
    assert merged["clusters"][0]["cluster"]["server"] == "https://10.77.0.11:6443"
    assert merged["clusters"][1] == foreign


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_entry_of_the_same_name_is_refused_unless_forced(kind: str) -> None:
    existing = yaml.safe_load(OURS)
    foreign = {"name": existing[kind][0]["name"], KINDS[kind]: {"server": "https://other:1"}}
    existing[kind][0] = foreign
    text = yaml.safe_dump(existing)
    with pytest.raises(UsageError) as caught:
        kubeconfig.merge(text, OURS)
    assert f"the {KINDS[kind]} '{foreign['name']}'" in str(caught.value)
    assert "--force" in caught.value.hint
    assert yaml.safe_load(kubeconfig.merge(text, OURS, force=True)) == yaml.safe_load(OURS)


def test_another_cluster_of_the_same_name_is_foreign() -> None:
    theirs = kubeconfig.admin(a_cluster(), a_pki(), owner="another CA")
    with pytest.raises(UsageError) as caught:
        kubeconfig.merge(theirs, OURS)
    assert len(caught.value.problems) == 7  # three clusters, three contexts, one user


def test_the_current_context_stays_unless_asked_or_empty() -> None:
    existing = "contexts: [{name: theirs, context: {cluster: c, user: u}}]\ncurrent-context: theirs\n"
    assert yaml.safe_load(kubeconfig.merge(existing, OURS))["current-context"] == "theirs"
    assert yaml.safe_load(kubeconfig.merge(existing, OURS, use=True))["current-context"] == "kubernetes-admin@lab-m1"
    assert yaml.safe_load(kubeconfig.merge("", OURS)) == yaml.safe_load(OURS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("- a", "not a mapping"),
        ("a: 1\na: 2", "a key is given twice, line 1"),
        ("clusters: 5", "clusters are not a list"),
        ("users: [{user: {}}]", "users are not a list"),
        ("contexts: [{name: a}, {name: a}]", "every name once"),
        ("a: !!python/object:os.system {}", "not YAML"),
        ("a: \x00", "not YAML"),
    ],
)
def test_a_broken_kubeconfig_is_refused_and_never_merged_into(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kubeconfig.merge(text, OURS)


def test_an_error_never_shows_what_stands_around_it() -> None:
    with pytest.raises(UsageError) as caught:
        kubeconfig.parse("users:\n- name: a\n  user: {client-key-data: c2VjcmV0\n")
    assert "c2VjcmV0" not in str(caught.value)


def test_merge_keys_and_anchors_of_a_user_are_understood() -> None:
    text = "clusters:\n- name: a\n  cluster: &c {server: 'https://a:1', x: 1}\n- name: b\n  cluster: {<<: *c, server: 'https://b:1'}\n"
    merged = yaml.safe_load(kubeconfig.merge(text, OURS))
    assert merged["clusters"][1]["cluster"] == {"server": "https://b:1", "x": 1}


def test_each_context_reads_back_as_what_it_was_built_of() -> None:
    pki = a_pki()
    for context, address in (("", "10.77.0.12"), ("kubernetes-admin@lab-m3", "10.77.0.13")):
        access = kubeconfig.read(kubeconfig.admin(a_cluster(), pki, owner="o", current="m2"), context)
        assert access.server == f"https://{address}:6443"
        assert (access.ca_pem, access.pair) == (pki.trust("ca"), pki.pair("admin"))


def test_an_unknown_current_master_leaves_the_first() -> None:
    assert kubeconfig.read(kubeconfig.admin(a_cluster(), a_pki(), owner="o", current="gone")).context == "kubernetes-admin@lab-m1"


def test_an_unusable_context_is_named() -> None:
    broken = deepcopy(yaml.safe_load(OURS))
    broken["clusters"] = []
    with pytest.raises(UsageError, match="kubernetes-admin@lab-m1"):
        kubeconfig.read(yaml.safe_dump(broken))


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.5", "https://10.0.0.5:443"), ("fd00::5", "https://[fd00::5]:443"), ("api.example", "https://api.example:443")]
)
def test_an_external_endpoint_is_the_only_server(address: str, url: str) -> None:
    spec = a_cluster(endpoint=Endpoint(kind=EndpointKind.EXTERNAL, address=address, port=443))
    access = kubeconfig.read(kubeconfig.admin(spec, a_pki(), owner="o"))
    assert (access.context, access.server) == ("kubernetes-admin@lab", url)
    assert len(yaml.safe_load(kubeconfig.admin(spec, a_pki(), owner="o"))["contexts"]) == 1


@pytest.mark.parametrize(
    ("component", "server"),
    [
        ("controller-manager", "https://10.77.0.11:6443"),
        ("scheduler", "https://10.77.0.11:6443"),
        ("kubelet", "https://127.0.0.1:6443"),
        ("kube-proxy", "https://127.0.0.1:6443"),
        ("admin", "https://127.0.0.1:6443"),
    ],
)
def test_components_use_their_own_api_server_or_the_endpoint(component: str, server: str) -> None:
    spec, pki = a_cluster(), a_pki()
    text = kubeconfig.for_host(spec, spec.hosts[0], component, ca_pem=pki.trust("ca"), pair=pki.pair("admin"))
    assert kubeconfig.read(text).server == server
    assert "extensions" not in text
