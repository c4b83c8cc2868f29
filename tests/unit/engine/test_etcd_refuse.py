"""Whose secrets a snapshot holds: by keys that read now, by one that was rotated out and reads again, by one that is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from kbootstrap.engine.etcd_refuse import sealed
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import PreflightError
from kbootstrap.model.pki import Pki
from kbootstrap.model.sealing import SealKey
from kbootstrap.model.snapshot import Snapshot, parse
from kbootstrap.pki import sealing
from kbootstrap.store.snapshots import Checked
from kbootstrap.testing.builders import SameEntropy, a_pki

FIRST = a_pki()
OLD = FIRST.sealing.readers[0]
ABOUT = Snapshot(
    cluster="c", cluster_id="i", etcd_cluster_id="", kubernetes="1.36.3", etcd="3.6.14", revision=7, keys=5, size=4096, sha256="ab",
    sealed_by=(OLD.fingerprint,),
)  # fmt: skip


def rotated(pki: Pki, seed: str = "next") -> Pki:
    return replace(pki, sealing=sealing.drop(sealing.promote(sealing.begin(pki.sealing, SameEntropy(seed)))))


def asked(pki: Pki, about: Snapshot | None = ABOUT) -> SealKey | None:
    known = type("Known", (), {"pki": pki})()
    return sealed(cast(Prepared, known), Checked(path=Path("a.db"), sha256="", inner_sha256="", size=1, sidecar=about))


def test_a_key_that_reads_now_is_enough_in_every_phase() -> None:
    begun = replace(FIRST, sealing=sealing.begin(FIRST.sealing, SameEntropy("next")))
    written = replace(FIRST, sealing=sealing.promote(begun.sealing))
    assert [asked(pki) for pki in (FIRST, begun, written)] == [None] * 3


def test_of_a_snapshot_that_does_not_say_nothing_is_asked() -> None:
    assert asked(FIRST, None) is None
    assert asked(FIRST, replace(ABOUT, sealed_by=())) is None


def test_a_retired_key_reads_again() -> None:
    assert asked(rotated(FIRST)) == OLD
    assert asked(rotated(rotated(FIRST), "third")) == OLD


def test_a_lost_key_is_named_and_nothing_begins() -> None:
    lost = replace(rotated(FIRST), sealing=replace(rotated(FIRST).sealing, retired=()))
    with pytest.raises(PreflightError, match=OLD.fingerprint) as refused:
        asked(lost)
    assert "certs.restore" in refused.value.hint


def test_two_rotations_at_once_are_none() -> None:
    again = rotated(FIRST)
    with pytest.raises(PreflightError, match="another is replaced"):
        asked(replace(again, sealing=sealing.begin(again.sealing, SameEntropy("third"))))


def test_a_sidecar_keeps_its_keys_and_an_old_one_is_read() -> None:
    assert parse(ABOUT.dump()) == ABOUT
    assert parse(ABOUT.dump().replace(b'"sealed_by": [\n  "' + OLD.fingerprint.encode() + b'"\n ],\n ', b"")).sealed_by == ()
