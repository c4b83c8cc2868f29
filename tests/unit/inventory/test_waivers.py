"""``preflight: {waive: …}``: by id, with a reason, never all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kbootstrap.inventory import check

Lines = Callable[[str], list[str]]


def test_a_reason_travels_with_the_cluster(good: str) -> None:
    spec, findings = check(good + 'preflight:\n  waive:\n    swap: "tests with swap on"\n', "c.yml")
    assert not findings
    assert spec is not None
    assert spec.preflight.waive == {"swap": "tests with swap on"}


@pytest.mark.parametrize(
    ("waive", "said"),
    [
        ("swpa: a reason", "c.yml:9:10  waive: no check is called swpa. Did you mean swap?"),
        ("product_uuid: a reason", "c.yml:9:10  waive: no check is called product_uuid. Did you mean product-uuid?"),
        ("reach-kubelt: a reason", "c.yml:9:10  waive: no check is called reach-kubelt. Did you mean reach-kubelet?"),
        ("reach-kube-scheduler: a reason", "c.yml:9:10  waive: no check is called reach-kube-scheduler."),  # nobody else may reach it
        ("all: a reason", "c.yml:9:10  waive: all is refused. Name each check that you accept"),
        ("cluster-marker: a reason", "c.yml:9:10  waive: cluster-marker cannot be waived: a host of another cluster would lose"),
        ('swap: ""', "c.yml:9:10  swap: nothing: expected a reason: one line"),
        ("swap: true", "c.yml:9:10  swap: "),
    ],
)
def test_what_is_refused(waive: str, said: str, good: str, lines_of: Lines) -> None:
    (line,) = lines_of(f"{good}preflight:\n  waive: {{{waive}}}\n")
    assert line.startswith(said.replace(":10  ", ":")[: len("c.yml:9:")]), line
    assert said.partition("  ")[2] in line


@pytest.mark.parametrize("waive", ["all", "[swap]"])
def test_a_list_or_a_word_has_no_reasons(waive: str, good: str, lines_of: Lines) -> None:
    (line,) = lines_of(f"{good}preflight:\n  waive: {waive}\n")
    assert "expected `key: value` lines" in line


def test_a_row_of_the_matrix_is_waived_by_its_name(good: str) -> None:
    spec, findings = check(good + 'preflight:\n  waive:\n    reach-nodeport-udp: "no UDP services here"\n', "c.yml")
    assert findings == ()
    assert spec is not None
    assert spec.preflight.waive == {"reach-nodeport-udp": "no UDP services here"}
