"""The operator's PKI on the screen: every certificate below the CA that signed it, whatever phase a rotation is in; what would be issued, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

from kbootstrap.engine.prepare import roles
from kbootstrap.model.certificate import State
from kbootstrap.model.cluster import Certificates, ClusterSpec
from kbootstrap.model.pki import Pki
from kbootstrap.pki import issue, rotate
from kbootstrap.pki.judge import Wanted
from kbootstrap.pki.profiles import CAS, profiles
from kbootstrap.plan import kept
from kbootstrap.plan.kept import Units
from kbootstrap.report import kept as words
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki

SPEC = a_cluster(1, 1)
DAY = timedelta(days=1)


def wanted(pki: Pki, spec: ClusterSpec = SPEC, *, days: float = 1) -> Wanted:
    return Wanted(spec=spec, pki=pki, profiles={p.id: p for p in profiles(spec)}, now=THE_DAY + days * DAY)


@cache
def units() -> Units:
    return kept.restarts(roles(), wanted(Pki()))


def shown(pki: Pki, spec: ClusterSpec = SPEC) -> dict[str, set[str]]:
    """CA → the ids below it."""
    return {branch.ca.id: {leaf.id for leaf in branch.leaves} for branch in kept.tree(wanted(pki, spec), units())}


def test_every_certificate_hangs_below_its_ca_once() -> None:
    found = shown(a_pki(1, 1))
    assert list(found) == list(CAS)
    assert sorted(i for ids in found.values() for i in ids) == sorted(a_pki(1, 1).pairs)


def test_the_tree_says_what_restarts_and_what_is_only_reloaded() -> None:
    leaves = {leaf.id: leaf for branch in kept.tree(wanted(a_pki(1, 1)), units()) for leaf in branch.leaves}
    assert leaves["m1/etcd-peer"].units == ("etcd.service",)
    assert leaves["w1/kubelet-client"].units == ("kubelet.service",)
    assert leaves["w1/endpoint-health"].units == ("kb-endpoint.service (reload)",)
    assert leaves["admin"].units == ()
    cas = {branch.ca.id: branch.ca for branch in kept.tree(wanted(a_pki(1, 1)), units())}
    assert cas["etcd-ca"].units == ("etcd.service", "kube-apiserver.service")
    assert "kube-proxy.service" in cas["ca"].units, "its kubeconfig holds the CA too"


def test_a_rotation_shows_what_comes_and_what_goes() -> None:
    begun = rotate.begin(a_pki(1, 1), "etcd-ca", now=THE_DAY, certificates=SPEC.certificates, entropy=SameEntropy("next"))[0]
    assert shown(begun)["etcd-ca.next"] == set()
    promoted = rotate.promote(begun, "etcd-ca")
    old = {"m1/etcd-server", "m1/etcd-peer", "m1/apiserver-etcd-client"}
    assert (shown(promoted)["etcd-ca"], shown(promoted)["etcd-ca.former"]) == (set(), old)
    again = issue.complete(promoted, profiles(SPEC), now=THE_DAY, certificates=SPEC.certificates, entropy=SameEntropy("again"))[0]
    assert (shown(again)["etcd-ca"], shown(again)["etcd-ca.former"]) == (old, set())


def test_what_no_inventory_wants_is_shown_and_said_so() -> None:
    leaves = {leaf.id: leaf for branch in kept.tree(wanted(a_pki(1, 2), SPEC), units()) for leaf in branch.leaves}
    assert leaves["w2/kubelet-server"].note == "the inventory does not want it"


def test_lines_are_aligned_and_the_worst_is_marked_for_a_terminal() -> None:
    lines = list(words.tree(kept.tree(wanted(a_pki(1, 1), days=400), units())))
    assert {state for state, line in lines if line.startswith(("├", "└"))} == {State.EXPIRED}
    assert len({line.index(" ecdsa ") for _, line in lines if line.startswith(("├", "└"))}) == 1


def test_nothing_is_due_of_a_pki_that_serves() -> None:
    assert kept.due(wanted(a_pki(1, 1)), units(), profiles(SPEC)) == ()
    assert list(words.plan(())) == ["0 to issue"]


def test_a_ca_that_ends_is_told_and_not_issued() -> None:
    spec = replace(SPEC, certificates=Certificates(ca_days=100))
    pki = issue.complete(Pki(), profiles(spec), now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0]
    due = kept.due(wanted(pki, spec, days=80), units(), profiles(spec))
    assert [(each.symbol, each.id, each.reason) for each in due] == [("!", name, "expires in 20 days") for name in CAS]
    assert list(words.plan(due)) == [
        "! ca              expires in 20 days  → invoke certs.rotate --ca cluster",
        "! etcd-ca         expires in 20 days  → invoke certs.rotate --ca etcd",
        "! front-proxy-ca  expires in 20 days  → invoke certs.rotate --ca front-proxy",
        "0 to issue",
    ]
