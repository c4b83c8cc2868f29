"""What of a rotation is ahead, wherever it stopped; and whose CA a host may hold meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import cast

import pytest

from kbootstrap.catalog import names
from kbootstrap.engine.known_pki import ca_files_sha256
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.rotate import KINDS, steps
from kbootstrap.engine.staged import Step
from kbootstrap.model.pki import SERVICE_ACCOUNT, Pki
from kbootstrap.pki import inspect, issue, rotate
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(1, 1)


class _Known:
    spec = SPEC


KNOWN = cast(Prepared, _Known())


@pytest.fixture(scope="module")
def pki() -> Pki:
    return issue.complete(Pki(), profiles(SPEC), now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())[0]


def ahead(pki: Pki, name: str, *, unfinished: Sequence[str] = ()) -> list[Step]:
    return list(steps(KNOWN, pki, name, unfinished=unfinished))


@pytest.mark.parametrize("name", KINDS.values())
def test_wherever_it_stopped_the_rest_is_ahead(pki: Pki, name: str) -> None:
    trusted, reissued, dropped = ahead(pki, name)
    assert [step.title for step in (trusted, reissued, dropped)] == ["TRUST", "REISSUE", "DROP"]
    assert [step.title for step in ahead(trusted.pki, name)] == ["TRUST", "REISSUE", "DROP"], "hosts may lack it"
    assert [step.title for step in ahead(reissued.pki, name)] == ["REISSUE", "DROP"]
    assert [step.title for step in ahead(dropped.pki, name, unfinished=["w1"])] == ["DROP"], "no rotation anew"
    assert ahead(dropped.pki, name, unfinished=["w1"])[0].pki == dropped.pki
    assert len(ahead(dropped.pki, name)) == 3, "at its end, the next may begin, whatever else differs on hosts"
    assert rotate.undropped(dropped.pki, name) == replace(reissued.pki, retired=dropped.pki.retired), "what hosts have that miss the end"
    assert rotate.undropped(pki, name) is None


@pytest.mark.parametrize("name", [name for name in KINDS.values() if name != SERVICE_ACCOUNT])
def test_just_what_the_old_ca_signed_is_issued_anew(pki: Pki, name: str) -> None:
    _, reissued, dropped = ahead(pki, name)
    wanted = {profile.id for profile in profiles(SPEC) if profile.issuer == name}
    assert {each.id for each in reissued.issued} == wanted == {i for i in pki.pairs if reissued.pki.pairs[i] != pki.pairs[i]}
    assert dropped.pki.pairs == reissued.pki.pairs


def test_what_the_inventory_lacks_goes_with_the_ca_that_signed_it(pki: Pki) -> None:
    left = replace(pki, pairs={**pki.pairs, "m9/apiserver": pki.pairs["m1/apiserver"], "m9/etcd-peer": pki.pairs["m1/etcd-peer"]})
    *_, dropped = ahead(left, names.CLUSTER_CA)
    assert set(dropped.pki.pairs) == set(pki.pairs) | {"m9/etcd-peer"}
    cas = [ca.cert_pem for ca in dropped.pki.cas.values()]
    assert all(any(inspect.is_signed_by(pair.cert_pem, ca) for ca in cas) for pair in dropped.pki.pairs.values()), "the directory can be read"


def test_a_host_may_hold_the_ca_of_any_step_and_no_other(pki: Pki) -> None:
    on_hosts = [pki, *(step.pki for step in ahead(pki, names.CLUSTER_CA))]
    held = [sha256(each.trust(names.CLUSTER_CA)).hexdigest() for each in on_hosts]
    assert len(set(held)) == 4, "old, both, both with the new one first, new"
    assert set(held[:3]) <= set(ca_files_sha256(on_hosts[1]))
    assert set(held[:3]) <= set(ca_files_sha256(on_hosts[2]))
    assert set(held) <= set(ca_files_sha256(on_hosts[3])), "also one that was off all the time"
    assert ca_files_sha256(on_hosts[3])[0] == held[3]
    stranger = issue.complete(Pki(), profiles(SPEC), now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())[0]
    assert sha256(stranger.trust(names.CLUSTER_CA)).hexdigest() not in ca_files_sha256(on_hosts[3])
