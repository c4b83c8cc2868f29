"""What is said about a credential that shall be revoked: only what is true, and only commands that do it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kbootstrap.errors import UsageError
from kbootstrap.model.pki import Issued
from kbootstrap.pki import revocation
from kbootstrap.testing.builders import THE_DAY

ISSUERS = {"kubernetes-ca 1": "ca", "etcd-ca 1": "etcd-ca", "front-proxy-ca 1": "front-proxy-ca"}
KUBECTL = "kubectl --kubeconfig inventory/lab/admin.conf"


def _entry(subject: str, *groups: str, issuer: str = "kubernetes-ca 1", days: float = 30, serial: str = "abcdef0123456789") -> Issued:
    return Issued(
        id=f"user:{subject}",
        serial=serial,
        issuer=issuer,
        subject=subject,
        groups=groups,
        when=THE_DAY,
        not_after=THE_DAY + timedelta(days=days),
        reason="asked for",
    )


def _advice(*entries: Issued) -> str:
    return "\n".join(revocation.advice(entries, now=THE_DAY, kubeconfig="inventory/lab/admin.conf", issuers=ISSUERS))


def test_a_user_loses_rights_by_rbac_and_the_name_by_a_rotation_alone() -> None:
    said = _advice(_entry("o'brien", "devs"))
    assert "accepted until 2026-01-31 00:00 UTC (30 days from now)" in said
    assert f"""{KUBECTL} get clusterrolebindings,rolebindings -A -o wide | grep -wF -e 'o'"'"'brien' -e devs""" in said
    assert f"{KUBECTL} delete clusterrolebinding NAME" in said
    assert f"""{KUBECTL} auth can-i --list --as 'o'"'"'brien' --as-group devs""" in said
    assert "invoke certs.rotate --ca cluster" in said
    assert "etcd" not in said


def test_what_expired_needs_nothing() -> None:
    said = _advice(_entry("alice", days=-1))
    assert "expired by itself on 2025-12-31" in said
    assert "rotate" not in said
    assert "kubectl" not in said


@pytest.mark.parametrize(
    ("entry", "what", "rotation"),
    [
        (_entry("kbootstrap:bootstrap", "system:masters"), "no RBAC can take that away", "certs.rotate --ca cluster"),
        (_entry("system:node:w1", "system:nodes"), "stops the cluster", "certs.rotate --ca cluster"),
        (_entry("kubernetes-admin", "kbootstrap:admins"), "stops the cluster", "certs.rotate --ca cluster"),
        (_entry("m1", issuer="etcd-ca 1"), "etcd: all data", "certs.rotate --ca etcd"),
        (_entry("front-proxy-client", issuer="front-proxy-ca 1"), "for any user", "certs.rotate --ca front-proxy"),
    ],
)
def test_where_rbac_is_of_no_use_no_kubectl_is_named(entry: Issued, what: str, rotation: str) -> None:
    said = _advice(entry)
    assert what in said
    assert rotation in said
    assert "kubectl" not in said


def test_a_token_goes_with_its_account_and_needs_no_rotation() -> None:
    said = _advice(_entry("system:serviceaccount:team-a:ci", issuer="service-account"))
    assert f"{KUBECTL} -n team-a delete serviceaccount ci" in said
    assert "rotate" not in said


def test_a_ca_that_is_gone_took_its_certificates_along() -> None:
    said = _advice(_entry("alice", issuer="kubernetes-ca 0"))
    assert "none of this cluster's now" in said
    assert "certs.rotate" not in said


def test_two_certificates_of_one_user_are_one_piece_of_advice() -> None:
    said = _advice(_entry("alice"), _entry("alice", serial="1234567890"))
    assert said.count("accepted until") == 2
    assert said.count("auth can-i") == 1


def test_entries_are_found_by_serial_id_or_subject() -> None:
    one, other = _entry("alice"), _entry("bob", serial="abcdef01ffff")
    assert revocation.matching([one, other], "alice") == (one,)
    assert revocation.matching([one, other], "user:bob") == (other,)
    assert revocation.matching([one, other], "ABCDEF0123456789") == (one,)
    assert revocation.matching([one, other], "ab:cd:ef:01:23") == (one,)
    with pytest.raises(UsageError, match="knows no abc"):
        revocation.matching([one, other], "abc")


def test_an_account_is_found_by_the_name_that_it_was_made_for() -> None:
    token = _entry("system:serviceaccount:team-a:gina", issuer="service-account")
    assert revocation.matching([token, _entry("alice")], "gina") == (token,)
    assert revocation.matching([token, _entry("alice")], "user:gina") == (token,)
    namesake = _entry("gina")
    assert revocation.matching([token, namesake], "gina") == (namesake,), "what says exactly that comes first"
