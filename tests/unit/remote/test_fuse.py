"""Cutting fused output apart, without a shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.remote import fuse
from kbootstrap.remote.fuse import Begun, Ended, Section

OUTPUT = st.binary(max_size=200)
NAME = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
CODE = st.integers(0, 255)


@given(st.lists(st.tuples(NAME, CODE, OUTPUT), max_size=5))
def test_any_output_survives(sections: list[tuple[str, int, bytes]]) -> None:
    wire = b"".join(output + f"\nMARK-1 end {name} {code}\n".encode() for name, code, output in sections)
    assert list(fuse.split(wire.split(b"\n"), "MARK-1")) == [Section(id=n, exit_code=c, output=o) for n, c, o in sections]


@given(st.lists(st.tuples(NAME, CODE, OUTPUT), max_size=5))
def test_any_change_is_followed(changes: list[tuple[str, int, bytes]]) -> None:
    wire = b"".join(f"\nMARK-1 begin {n}\n".encode() + o + f"\nMARK-1 end {n} {c}\n".encode() for n, c, o in changes)
    expected = [e for n, c, o in changes for e in (Begun(id=n), Ended(id=n, exit_code=c, output=o))]
    assert list(fuse.follow(wire.split(b"\n"), "MARK-1")) == expected


@given(st.lists(st.binary(max_size=3000).map(lambda b: b.replace(b"\n", b"")), max_size=30))
def test_the_tail_is_the_end_of_the_output(lines: list[bytes]) -> None:
    [ended] = fuse.follow([*lines, b"M end a 0"], "M")
    assert isinstance(ended, Ended)
    assert ended.output == b"\n".join(lines)[-fuse.TAIL_KEPT :]


def test_sections_are_given_as_they_end() -> None:
    seen = []

    def lines() -> object:
        yield from (b"one", b"M end a 0")
        seen.append("more was asked for")
        yield from (b"two", b"M end b 1")

    found = fuse.split(lines(), "M")  # type: ignore[arg-type]
    assert next(found).id == "a"
    assert not seen


def test_too_much_output_is_cut_and_said_to_be() -> None:
    first, second = fuse.split([b"x" * 60, b"y" * 60, b"M end a 0", b"z", b"M end b 0"], "M", keep=100)
    assert (first.truncated, first.output) == (True, b"x" * 60)
    assert (second.truncated, second.output) == (False, b"z")


def test_a_program_cut_short_gives_no_half_section() -> None:
    assert [s.id for s in fuse.split([b"1", b"M end a 0", b"half"], "M")] == ["a"]


@pytest.mark.parametrize("name", ["", "a\nb", "a\0"])
def test_ids_that_would_break_the_frame(name: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        fuse.read_program([(name, "true")], "M")
    with pytest.raises(ValueError, match="not an id"):
        fuse.change_program([(name, "true", 1)], "M")
