"""Hosts are cut out of the text as a careful person would: nothing else moves, and what would be no cluster is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.errors import InventoryError
from kbootstrap.inventory import check
from kbootstrap.inventory.removing import without

TEXT = """\
# The head.
cluster: lab
kubernetes: "1.36.3"   # quoted
groups:
  gpu:
    hosts: [w2, m4, w1]      # some
    labels: {gpu: "true"}
  rack:
    hosts:
      - m4      # goes
      - w3
hosts:
  masters:                   # odd

    m1: {address: 10.0.0.11}
    # of m2
    m2: {address: 10.0.0.12}

    m3:
      address: 10.0.0.13     # an address
      # its own comment

      labels:
        disk: ssd
      # its last word
    # of m4
    m4: {address: 10.0.0.14} # the fourth
    m5: {address: 10.0.0.15}
  workers: {w1: {address: 10.0.0.21}, w2: {address: 10.0.0.22},
            w3: {address: 10.0.0.23}}   # all of them
# The tail.
"""


def lines_gone(new: str) -> list[str]:
    left = new.splitlines()
    return [line for line in TEXT.splitlines() if line not in left]


def test_entries_by_lines_go_with_what_is_theirs() -> None:
    new, spec = without(TEXT, ["m3", "m4"], "c.yml")
    assert [host.name for host in spec.masters] == ["m1", "m2", "m5"]
    assert "    # of m4\n    m5: {address: 10.0.0.15}\n" in new
    assert "hosts: [w2, w1]      # some" in new
    assert "    hosts:\n      - w3\n" in new
    assert [line.strip() for line in lines_gone(new)] == [
        "hosts: [w2, m4, w1]      # some", "- m4      # goes", "m3:", "address: 10.0.0.13     # an address", "# its own comment", "labels:",
        "disk: ssd", "# its last word", "m4: {address: 10.0.0.14} # the fourth",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["w1"], "workers: {w2: {address: 10.0.0.22},\n            w3: {address: 10.0.0.23}}   # all of them\n"),
        (["w2"], "workers: {w1: {address: 10.0.0.21}, w3: {address: 10.0.0.23}}   # all of them\n"),
        (["w3"], "workers: {w1: {address: 10.0.0.21}, w2: {address: 10.0.0.22}}   # all of them\n"),
        (["w2", "w3"], "workers: {w1: {address: 10.0.0.21}}   # all of them\n"),
        (["w1", "w2", "w3"], "workers: {}   # all of them\n"),
    ],
)
def test_entries_in_braces_go_with_their_commas(names: list[str], left: str) -> None:
    new, spec = without(TEXT, names, "c.yml")
    assert left in new
    assert new.startswith("# The head.\n")
    assert new.endswith("# The tail.\n")
    assert not {host.name for host in spec.hosts} & set(names)


def test_the_last_of_a_list_by_lines_leaves_it_empty() -> None:
    new, spec = without(TEXT, ["m4", "w3", "m5"], "c.yml")
    assert "    hosts:\nhosts:\n" in new
    assert [host.name for host in spec.hosts] == ["m1", "m2", "m3", "w1", "w2"]


def test_a_host_that_is_both_goes_from_both() -> None:
    text = (
        'cluster: lab\nkubernetes: "1.36.3"\nhosts:\n  masters:\n    m1: {address: 10.0.0.1}\n  workers:\n    m1: {}\n    w1: {address: 10.0.0.2}\n'
    )
    with pytest.raises(InventoryError) as refused:
        without(text, ["m1"], "c.yml")
    assert "none given" in str(refused.value.problems[0])
    more = "    m2: {address: 10.0.0.3}\n    m3: {address: 10.0.0.4}\n"
    new, _ = without(text.replace("  workers:\n", f"{more}  workers:\n"), ["m1", "m3"], "c.yml")
    assert new == text.replace("    m1: {address: 10.0.0.1}\n", more.splitlines(keepends=True)[0]).replace("    m1: {}\n", "")


def test_an_even_number_of_masters_is_refused_with_the_reason() -> None:
    with pytest.raises(InventoryError, match="nothing was changed") as refused:
        without(TEXT, ["m4"], "c.yml")
    assert "masters: 4 given; etcd needs an odd number" in str(refused.value.problems[0])


def test_an_anchor_that_others_use_is_not_cut_away() -> None:
    text = 'cluster: lab\nkubernetes: "1.36.3"\nhosts:\n  masters:\n    m1: {address: 10.0.0.1}\n  workers:\n'
    text += "    w1: {address: 10.0.0.2, labels: &common {a: b}}\n    w2: {address: 10.0.0.3, labels: *common}\n"
    with pytest.raises(InventoryError):
        without(text, ["w1"], "c.yml")
    new, _ = without(text, ["w2"], "c.yml")
    assert new == text.replace("    w2: {address: 10.0.0.3, labels: *common}\n", "")


@given(gone=st.sets(st.sampled_from([f"w{n}" for n in range(1, 6)]), min_size=1), flow=st.booleans(), commented=st.booleans(), last=st.booleans())
def test_whatever_goes_the_rest_reads_the_same(gone: set[str], flow: bool, commented: bool, last: bool) -> None:
    comment = "  # why" if commented else ""
    rows = [f"w{n}: {{address: 10.0.0.{n}}}" for n in range(1, 6)]
    workers = f"  workers: {{{', '.join(rows)}}}{comment}" if flow else "  workers:\n" + "\n".join(f"    {row}{comment}" for row in rows)
    masters = "  masters: {m1: {address: 10.0.1.1}}"
    text = 'cluster: lab\nkubernetes: "1.36.3"\nhosts:\n' + "\n".join([masters, workers] if last else [workers, masters]) + "\n"
    new, spec = without(text, gone, "c.yml")
    before, _ = check(text, "c.yml")
    assert before is not None
    assert spec.hosts == tuple(host for host in before.hosts if host.name not in gone)
    assert new.count("\n") == text.count("\n") - (0 if flow else len(gone))
