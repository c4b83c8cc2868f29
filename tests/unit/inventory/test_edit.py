"""Edits of cluster.yml as text: what is not edited stays as it was written."""

from __future__ import annotations

import pytest

from kbootstrap.errors import InventoryError
from kbootstrap.inventory import edit

HEAD = "# ours since 2019 – ünïcode\ncluster: lab\n"
TAIL = "   # in quotes, always\nhosts:\n  masters: {m1: {address: 10.0.0.11}}  # kubernetes: 1.2.3\n"


@pytest.mark.parametrize("written", ['"1.35.4"', "'1.35.4'", "1.35.4"])
def test_only_the_version_changes(written: str) -> None:
    before = f"{HEAD}kubernetes: {written}{TAIL}"
    assert edit.with_version(before, "1.36.1") == f'{HEAD}kubernetes: "1.36.1"{TAIL}'


def test_the_diff_shows_one_line() -> None:
    before = f'{HEAD}kubernetes: "1.35.4"{TAIL}'
    shown = list(edit.diff(before, edit.with_version(before, "1.36.1"), "cluster.yml"))
    assert [line for line in shown if line[0] in "+-" and line[1] not in "+-"] == [
        '-kubernetes: "1.35.4"   # in quotes, always',
        '+kubernetes: "1.36.1"   # in quotes, always',
    ]


@pytest.mark.parametrize("before", ["&v ", "!!str ", "!!str &v "])
def test_an_anchor_or_a_tag_before_the_version_stays(before: str) -> None:
    text = edit.with_version(f"{HEAD}kubernetes: {before}1.35.4{TAIL}", "1.36.1")
    assert text == f'{HEAD}kubernetes: {before}"1.36.1"{TAIL}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD, "no line"),
        ('x-version: &v "1.35.4"\nkubernetes: *v\n', "is an alias"),
        ('kubernetes: &v "1.35.4"\nversions: {etcd: *v}\n', "what refers to it would change"),
        ("kubernetes: &v\ncluster: lab\n", "no value on its line"),
        ("kubernetes: >-\n  1.35.4\ncluster: lab\n", "no value on its line"),
        ("kubernetes: 1.35.4\nhosts: [", "no YAML any more"),
    ],
    ids=["missing", "alias", "anchor that is used", "empty", "folded", "half saved"],
)
def test_what_cannot_be_edited_alone_is_refused(text: str, why: str) -> None:
    with pytest.raises(InventoryError, match=why):
        edit.with_version(text, "1.36.1")
