"""The three changes of a rotation: who is trusted, who signs, what is due, what a host may hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki
from kbootstrap.pki import consistency, inspect, issue, layout, rotate
from kbootstrap.pki.profiles import CAS, profiles
from kbootstrap.pki.rotate import Phase
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki

LATER = THE_DAY + timedelta(days=1)
SPEC = a_cluster()


def _begun(name: str) -> Pki:
    pki, issued = rotate.begin(a_pki(), name, now=LATER, certificates=SPEC.certificates, entropy=SameEntropy("successor"))
    assert [entry.id for entry in issued] == ([] if name == SERVICE_ACCOUNT else [name])
    return pki


def _another() -> Pki:
    return issue.complete(Pki(), (), now=THE_DAY, certificates=SPEC.certificates, entropy=SameEntropy("another"))[0]


def _due(pki: Pki) -> set[str]:
    return {p.id for p in profiles(SPEC) if inspect.reason(pki, p, now=LATER, certificates=SPEC.certificates)}


@pytest.mark.parametrize("name", rotate.NAMES)
def test_every_phase_fits_together_and_survives_a_directory(name: str) -> None:
    begun = _begun(name)
    promoted = rotate.promote(begun, name)
    dropped = rotate.drop(promoted, name)
    assert [rotate.phase(pki, name) for pki in (a_pki(), begun, promoted, dropped)] == [Phase.IDLE, Phase.TRUST, Phase.REISSUE, Phase.IDLE]
    for pki in (begun, promoted):
        assert consistency.damage(pki) == ()
        assert layout.assemble(layout.lay_out(pki)) == pki
    assert layout.assemble(layout.lay_out(dropped)) == dropped


@pytest.mark.parametrize("name", CAS)
def test_both_are_trusted_until_the_old_one_is_dropped(name: str) -> None:
    begun = _begun(name)
    old, new = a_pki().ca(name).cert_pem, begun.upcoming[name].cert_pem
    promoted = rotate.promote(begun, name)
    dropped = rotate.drop(promoted, name)
    assert [pki.trust(name) for pki in (a_pki(), begun, promoted, dropped)] == [old, old + new, new + old, new]
    assert inspect.describe(old).common_name != inspect.describe(new).common_name
    for pki in (a_pki(), begun, promoted, dropped):
        assert pki.trust(name) in rotate.recognised(dropped, name)
    assert _another().trust(name) not in rotate.recognised(dropped, name)


@pytest.mark.parametrize("name", CAS)
def test_what_the_old_one_signed_is_due_when_the_new_one_signs(name: str) -> None:
    mine = {p.id for p in profiles(SPEC) if p.issuer == name}
    begun = _begun(name)
    promoted = rotate.promote(begun, name)
    assert _due(begun) == set()
    assert _due(promoted) == mine
    complete, _ = issue.complete(promoted, profiles(SPEC), now=LATER, certificates=SPEC.certificates, entropy=SameEntropy("leaves"))
    assert consistency.damage(rotate.drop(complete, name)) == ()
    assert _due(rotate.drop(complete, name)) == set()


def test_tokens_of_both_keys_are_good_and_the_new_one_signs() -> None:
    begun = _begun(SERVICE_ACCOUNT)
    new, old = begun.upcoming[SERVICE_ACCOUNT], a_pki()
    promoted = rotate.promote(begun, SERVICE_ACCOUNT)
    assert (begun.sa_key, begun.sa_trust) == (old.sa_key, old.sa_pub + new.cert_pem)
    assert (promoted.sa_key, promoted.sa_trust) == (new.key_pem, new.cert_pem + old.sa_pub)
    assert rotate.drop(promoted, SERVICE_ACCOUNT).sa_trust == new.cert_pem
    assert _due(promoted) == set()


def test_a_successor_of_the_users_own_is_taken_as_it_is() -> None:
    mine = KeyPair(cert_pem=_another().ca(names.ETCD_CA).cert_pem)
    pki, issued = rotate.begin(a_pki(), names.ETCD_CA, now=LATER, certificates=SPEC.certificates, entropy=SameEntropy(), successor=mine)
    assert (pki.upcoming[names.ETCD_CA], issued) == (mine, ())


def test_phases_come_in_their_order() -> None:
    begun = _begun(names.CLUSTER_CA)
    for step in (rotate.drop, lambda pki, name: rotate.promote(a_pki(), name)):
        with pytest.raises(PkiError, match="is in the phase"):
            step(begun, names.CLUSTER_CA)
    with pytest.raises(PkiError, match="is in the phase trust, not idle"):
        rotate.begin(begun, names.CLUSTER_CA, now=LATER, certificates=SPEC.certificates, entropy=SameEntropy())


def test_a_foreign_successor_key_is_damage() -> None:
    begun = _begun(names.ETCD_CA)
    wrong = replace(begun.upcoming[names.ETCD_CA], key_pem=a_pki().ca(names.ETCD_CA).key_pem)
    found = consistency.damage(replace(begun, upcoming={names.ETCD_CA: wrong}))
    assert [problem.where for problem in found] == ["ca/etcd-ca.next.crt"]
    assert "ca/etcd-ca.next.key" in found[0].what
