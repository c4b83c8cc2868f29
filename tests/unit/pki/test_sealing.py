"""The keys that seal secrets: their rotation as changes of values, their files, and what of a rotation is ahead wherever it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kbootstrap.engine.secrets_rotate import DROP, READ, REWRITE, WRITE, steps
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Pki
from kbootstrap.model.sealing import FIRST, SealKey
from kbootstrap.pki import layout, sealing
from kbootstrap.pki.consistency import damage
from kbootstrap.pki.sealing import Phase
from kbootstrap.testing.builders import SameEntropy, a_pki

PKI = a_pki()


def titles(pki: Pki, *, unfinished: Sequence[str] = ()) -> list[str]:
    return [step.title for step in steps(pki, unfinished=unfinished)]


def test_wherever_it_stopped_the_rest_is_ahead() -> None:
    read, write, rewrite, drop = steps(PKI)
    assert [step.title for step in (read, write, rewrite, drop)] == [READ, WRITE, REWRITE, DROP]
    assert titles(read.pki) == [READ, WRITE, REWRITE, DROP], "API servers may lack it"
    assert steps(read.pki)[0].pki == read.pki, "and no third key is made"
    assert titles(write.pki) == [WRITE, REWRITE, DROP]
    assert titles(drop.pki, unfinished=["m1"]) == [DROP], "no rotation anew"
    assert titles(drop.pki) == [READ, WRITE, REWRITE, DROP], "at its end, the next may begin"
    assert sealing.undropped(drop.pki.sealing) == write.pki.sealing, "what masters read by that miss the end"
    assert sealing.undropped(PKI.sealing) is None


def test_no_step_takes_a_key_away_that_values_may_have() -> None:
    read, write, _, drop = (step.pki.sealing for step in steps(PKI))
    old = PKI.sealing.readers[0]
    assert [key.name for key in read.readers] == [old.name, write.readers[0].name]
    assert write.readers == tuple(reversed(read.readers))
    assert write.sealed == write.readers
    assert drop.readers == drop.sealed == write.readers[:1]
    assert drop.retired == (old,)
    assert old.name == FIRST
    assert drop.readers[0].name == f"key-{drop.readers[0].fingerprint}"


def test_a_retired_key_is_readmitted_and_goes_by_the_same_way() -> None:
    dropped = steps(PKI)[-1].pki
    back = sealing.readmit(dropped.sealing, dropped.sealing.retired[0])
    assert sealing.phase(back) is Phase.WRITE
    assert back.retired == ()
    assert sealing.drop(back) == dropped.sealing


@pytest.mark.parametrize("change", [sealing.promote, sealing.drop])
def test_a_phase_is_not_left_out(change: object) -> None:
    with pytest.raises(PkiError, match="phase idle"):
        change(PKI.sealing)  # type: ignore[operator]


def test_all_phases_survive_their_files() -> None:
    for step in steps(PKI):
        assert layout.assemble(layout.lay_out(step.pki)) == step.pki
        assert damage(step.pki) == ()


def test_the_first_key_lies_as_it_always_did_and_others_carry_their_names() -> None:
    first, other = SealKey(secret=bytes(32)), SealKey(secret=b"x" * 32, name="key-1")
    assert sealing.dump([first]) == b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    assert sealing.parse(sealing.dump([first, None, other])) == (first, other)


@pytest.mark.parametrize("text", [b"***", b"AAAA name more", "schlüssel".encode()])
def test_what_is_no_key_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        sealing.parse(text)
    with pytest.raises(ValueError, match=r"\S"):
        layout.assemble({**layout.lay_out(PKI), "encryption.key": text})


def test_two_writers_in_one_file_are_refused() -> None:
    both = sealing.dump([SealKey(secret=bytes(32)), SealKey(secret=b"x" * 32, name="key-1")])
    with pytest.raises(ValueError, match=r"encryption\.key holds several"):
        layout.assemble({**layout.lay_out(PKI), "encryption.key": both})


def test_another_seed_makes_another_key() -> None:
    assert sealing.begin(PKI.sealing, SameEntropy("other")).upcoming != sealing.begin(PKI.sealing, SameEntropy("else")).upcoming
    assert replace(PKI, sealing=sealing.begin(PKI.sealing, SameEntropy("x"))) != PKI
