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


def test_a_line_that_is_missing_or_an_alias_is_refused() -> None:
    with pytest.raises(InventoryError, match="no line"):
        edit.with_version(HEAD, "1.36.1")
    with pytest.raises(InventoryError, match="alias"):
        edit.with_version('x-version: &v "1.35.4"\nkubernetes: *v\n', "1.36.1")
