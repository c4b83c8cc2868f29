"""Keys under a passphrase, sealed files and headers: they open for who knows it, and for nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import Certificates, KeyType
from kbootstrap.model.pki import Pki
from kbootstrap.pki import issue, locked, rotate, seal
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_pki

ENTROPY = SameEntropy("locked")
KEY = b"k" * 32


@pytest.mark.parametrize("kind", KeyType)
def test_a_locked_key_is_the_same_key(kind: KeyType) -> None:
    key_pem = ENTROPY.key(kind)
    closed = locked.lock(key_pem, "pässword".encode(), ENTROPY)
    assert locked.is_locked(closed)
    assert not locked.is_locked(key_pem)
    assert locked.unlock(closed, "pässword".encode()) == key_pem
    with pytest.raises(PkiError, match="the passphrase does not open it"):
        locked.unlock(closed, b"password")
    with pytest.raises(PkiError, match="not a readable private key"):
        locked.open_(closed)


def _with_locked_ca(word: bytes) -> Pki:
    pki = a_pki()
    ca = pki.ca(names.CLUSTER_CA)
    closed = replace(ca, key_pem=locked.lock(ca.key_pem, word, ENTROPY))
    return replace(pki, cas={**pki.cas, names.CLUSTER_CA: closed}, unlock=lambda what: word)


def test_a_locked_ca_signs_what_an_open_one_signs() -> None:
    pair, _ = issue.bootstrap_admin(_with_locked_ca(b"word"), now=THE_DAY, entropy=SameEntropy("x"))
    assert pair == issue.bootstrap_admin(a_pki(), now=THE_DAY, entropy=SameEntropy("x"))[0]


def test_the_successor_of_a_locked_ca_is_locked_alike() -> None:
    begun, _ = rotate.begin(_with_locked_ca(b"word"), names.CLUSTER_CA, now=THE_DAY, certificates=Certificates(), entropy=SameEntropy("new"))
    assert locked.unlock(begun.upcoming[names.CLUSTER_CA].key_pem, b"word")


@given(content=st.binary(max_size=200), path=st.text(max_size=20))
@settings(max_examples=50)
def test_a_sealed_file_opens_at_its_own_place_only(content: bytes, path: str) -> None:
    closed = seal.close_file(KEY, path, content, ENTROPY)
    assert seal.is_sealed_file(closed)
    assert seal.open_file(KEY, path, closed) == content
    for key, place, text in ((b"x" * 32, path, closed), (KEY, f"{path}x", closed), (KEY, path, closed[:-1]), (KEY, path, closed[:-1] + b"\0x")):
        with pytest.raises(PkiError):
            seal.open_file(key, place, text)


def test_every_byte_of_what_a_passphrase_closed_is_authenticated() -> None:
    closed = seal.close(seal.Lock(note="a note", salt=b"s" * 16, cost=2), b"word", b"content", ENTROPY)
    assert seal.open_(closed, b"word") == b"content"
    assert seal.header(closed).note == "a note"
    for position in range(len(closed)):
        changed = bytearray(closed)
        changed[position] ^= 1
        with pytest.raises(PkiError):
            seal.open_(bytes(changed), b"word")
    with pytest.raises(PkiError, match="the passphrase does not open it"):
        seal.open_(closed, b"Word")
    with pytest.raises(PkiError, match="locks nothing"):
        seal.close(seal.Lock(note="", salt=b"s" * 16, cost=2), b"", b"content", ENTROPY)
