"""Certificates read back: fingerprints, matches, and what of a PKI does not fit together."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import Certificates, KeyType
from kbootstrap.model.pki import KeyPair, Pki
from kbootstrap.model.sealing import Sealing, SealKey
from kbootstrap.pki import inspect, issue, layout
from kbootstrap.pki.consistency import damage
from kbootstrap.pki.profiles import profiles
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki

DAY = timedelta(days=1)
OTHER = issue.complete(Pki(), profiles(a_cluster()), now=THE_DAY, certificates=Certificates(), entropy=SameEntropy("another cluster"))[0]


def test_a_fingerprint_is_that_of_the_certificate_served() -> None:
    pem = a_pki().pair("m1/apiserver").cert_pem
    served = ssl.PEM_cert_to_DER_cert(pem.decode())
    assert inspect.fingerprint(pem) == sha256(served).hexdigest()


def test_a_chain_is_described_by_its_first_certificate() -> None:
    pki = a_pki()
    chain = pki.pair("admin").cert_pem + pki.ca("ca").cert_pem
    assert inspect.describe(chain) == inspect.describe(pki.pair("admin").cert_pem)
    assert inspect.split(pki.pair("admin").key_pem + chain) == KeyPair(cert_pem=chain, key_pem=pki.pair("admin").key_pem)


def test_days_left_count_down_past_zero() -> None:
    found = inspect.describe(a_pki().pair("admin").cert_pem)
    assert found.days_left(THE_DAY) == 365
    assert found.days_left(THE_DAY + 366 * DAY) == -1


def test_a_matching_key_is_told_from_another_of_either_type() -> None:
    pki = a_pki()
    mine, rsa = pki.pair("admin"), SystemEntropy().key(KeyType.RSA)
    assert inspect.key_matches(mine)
    assert not inspect.key_matches(replace(mine, key_pem=pki.pair("m1/apiserver").key_pem))
    assert not inspect.key_matches(replace(mine, key_pem=rsa))


def test_a_signature_counts_not_the_name() -> None:
    mine = a_pki().pair("admin").cert_pem
    assert inspect.is_signed_by(mine, a_pki().ca("ca").cert_pem)
    assert not inspect.is_signed_by(mine, a_pki().ca("etcd-ca").cert_pem)
    assert not inspect.is_signed_by(mine, OTHER.ca("ca").cert_pem)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_said_so(text: bytes) -> None:
    with pytest.raises(PkiError, match="not a readable certificate"):
        inspect.describe(text)


def _pair(pki: Pki, profile_id: str, **kw: bytes) -> Pki:
    return replace(pki, pairs={**pki.pairs, profile_id: replace(pki.pairs[profile_id], **kw)})


def _ca(pki: Pki, name: str, **kw: bytes) -> Pki:
    return replace(pki, cas={**pki.cas, name: replace(pki.cas[name], **kw)})


@pytest.mark.parametrize(
    ("harm", "file", "what"),
    [
        (lambda p: _pair(p, "m1/apiserver", key_pem=p.pair("admin").key_pem), "hosts/m1/apiserver.pem", "does not belong to its certificate"),
        (lambda p: _pair(p, "m1/apiserver", key_pem=b""), "hosts/m1/apiserver.pem", "no private key"),
        (lambda p: _pair(p, "admin", cert_pem=b""), "users/admin.pem", "no certificate"),
        (lambda p: _pair(p, "admin", key_pem=b"x"), "users/admin.pem", "not a readable private key"),
        (lambda p: replace(p, pairs={**p.pairs, "w1/x": OTHER.pair("admin")}), "hosts/w1/x.pem", "no CA of this directory"),
        (lambda p: _ca(p, "etcd-ca", key_pem=p.ca("ca").key_pem), "ca/etcd-ca.crt", "does not belong to the key in ca/etcd-ca.key"),
        (lambda p: _ca(p, "etcd-ca", cert_pem=p.pair("admin").cert_pem, key_pem=b""), "ca/etcd-ca.crt", "not the certificate of a CA"),
        (lambda p: _ca(p, "ca", cert_pem=b"x"), "ca/ca.crt", "not a readable certificate"),
        (lambda p: replace(p, sa_pub=OTHER.sa_pub), "sa.pub", "does not belong to the key in sa.key"),
        (lambda p: replace(p, sa_pub=b"x"), "sa.pub", "not a readable public key"),
        (lambda p: replace(p, sealing=Sealing(writer=SealKey(secret=b"short"))), "encryption.key", "holds 5 bytes, want 32"),
    ],
)  # fmt: skip
def test_damage_is_found_and_its_file_named(harm: Callable[[Pki], Pki], file: str, what: str) -> None:
    assert damage(a_pki()) == ()
    found = {problem.where: problem.what for problem in damage(harm(a_pki()))}
    assert what in found[file]


def test_another_clusters_ca_makes_every_leaf_foreign() -> None:
    pki = a_pki()
    found = damage(replace(pki, cas=OTHER.cas))
    assert {p.where for p in found} == {layout.pair(i) for i in pki.pairs}


def test_files_are_named_and_found_again() -> None:
    for profile in profiles(a_cluster()):
        assert layout.profile_id(layout.pair(profile.id)) == profile.id
    assert layout.profile_id(layout.pair("users/admin")) == "users/admin"  # a host may be called so
