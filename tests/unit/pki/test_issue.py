"""Every certificate is parsed again and its extensions asserted; what is issued, what is kept, what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import Certificates, ClusterSpec, KeyType
from kbootstrap.model.host import Role
from kbootstrap.model.pki import Issued, KeyPair, Pki, Profile, Usage
from kbootstrap.model.sealing import Sealing
from kbootstrap.pki import inspect, issue
from kbootstrap.pki.consistency import damage
from kbootstrap.pki.profiles import CAS, profiles
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_host, a_pki

DAY = timedelta(days=1)
EKU = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


@cache
def _made(kind: KeyType) -> tuple[ClusterSpec, Pki]:
    if kind is KeyType.ECDSA:
        return a_cluster(), a_pki()
    spec = a_cluster(masters=1, workers=0, certificates=Certificates(key_type=kind))
    wanted = [p for p in profiles(spec) if p.name in {"apiserver", "etcd-peer", "admin"}]  # RSA keys are slow to make
    return spec, issue.complete(Pki(), wanted, now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0]


def _complete(pki: Pki, spec: ClusterSpec, *, days: float = 0) -> tuple[Pki, tuple[Issued, ...]]:
    return issue.complete(pki, profiles(spec), now=THE_DAY + days * DAY, certificates=spec.certificates, entropy=SameEntropy(f"second {days}"))


def _ids(issued: tuple[Issued, ...]) -> list[str]:
    return [entry.id for entry in issued]


def _key_usage(cert: x509.Certificate) -> set[str]:
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"]
    return {name for name in names if getattr(usage.value, name)}


@pytest.mark.parametrize("kind", KeyType)
def test_leaves_carry_exactly_what_their_profile_says(kind: KeyType) -> None:
    spec, pki = _made(kind)
    for profile in [p for p in profiles(spec) if p.id in pki.pairs]:
        cert = x509.load_pem_x509_certificate(pki.pair(profile.id).cert_pem)
        _assert_leaf(cert, profile, kind)
        ca = x509.load_pem_x509_certificate(pki.ca(profile.issuer).cert_pem)
        cert.verify_directly_issued_by(ca)
        aki = cert.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert aki.key_identifier == ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert inspect.key_matches(pki.pair(profile.id))


def _assert_leaf(cert: x509.Certificate, profile: Profile, kind: KeyType) -> None:
    assert [str(a.value) for a in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [profile.common_name]
    assert [str(a.value) for a in cert.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == list(profile.organizations)
    constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert _key_usage(cert) == {"digital_signature"} | ({"key_encipherment"} if kind is KeyType.RSA else set())
    assert list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [EKU[u] for u in profile.usages]
    wanted = [*map(x509.DNSName, profile.dns_names), *map(x509.IPAddress, profile.ip_addresses)]
    sans = [e for e in cert.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    assert [list(e.value) for e in sans] == ([wanted] if wanted else [])
    assert cert.not_valid_before_utc == THE_DAY - timedelta(hours=1)
    assert cert.not_valid_after_utc == THE_DAY + 365 * DAY
    key = cert.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert key.key_size == (3072 if kind is KeyType.RSA else 256)


@pytest.mark.parametrize("kind", KeyType)
def test_cas_sign_leaves_and_nothing_else(kind: KeyType) -> None:
    _, pki = _made(kind)
    assert list(pki.cas) == list(CAS)
    for ca in pki.cas.values():
        cert = x509.load_pem_x509_certificate(ca.cert_pem)
        constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
        assert _key_usage(cert) == {"key_cert_sign", "crl_sign"}
        assert cert.not_valid_after_utc - THE_DAY == 3650 * DAY
        cert.verify_directly_issued_by(cert)
        assert inspect.key_matches(ca)


def test_no_two_certificates_share_a_serial_or_a_key_and_no_two_cas_a_name() -> None:
    pki = a_pki()
    pems = [pair.cert_pem for pair in (*pki.cas.values(), *pki.pairs.values())]
    assert len({x509.load_pem_x509_certificate(pem).serial_number for pem in pems}) == len(pems)
    assert len({pair.key_pem for pair in (*pki.cas.values(), *pki.pairs.values())}) == len(pems)
    other = issue.complete(Pki(), (), now=THE_DAY, certificates=Certificates(), entropy=SameEntropy("other"))[0]
    assert len({inspect.describe(ca.cert_pem).common_name for ca in (*pki.cas.values(), *other.cas.values())}) == 6


def test_issuing_is_pure() -> None:
    assert _complete(Pki(), a_cluster())[0] == _complete(Pki(), a_cluster())[0]


def test_a_complete_pki_is_left_alone() -> None:
    again, issued = _complete(a_pki(), a_cluster(), days=300)
    assert again == a_pki()
    assert issued == ()


def test_only_what_an_edit_touches_is_issued_anew() -> None:
    hosts = tuple(a_host("m2", "10.77.0.99", Role.MASTER) if h.name == "m2" else h for h in a_cluster().hosts)
    after, issued = _complete(a_pki(), a_cluster(hosts=hosts), days=1)
    assert _ids(issued) == ["m2/etcd-server", "m2/etcd-peer", "m2/apiserver", "m2/kubelet-server"]
    assert issued[1].reason == "its addresses lack 10.77.0.99 and are not to have 10.77.0.12"
    assert {i: p for i, p in after.pairs.items() if i not in _ids(issued)} == {i: p for i, p in a_pki().pairs.items() if i not in _ids(issued)}
    assert after.cas == a_pki().cas


def test_an_added_host_gets_certificates_and_a_removed_one_keeps_its_own() -> None:
    after, issued = _complete(a_pki(3, 1), a_cluster(3, 2), days=1)
    assert {i.partition("/")[0] for i in _ids(issued)} == {"w2"}
    fewer, none = _complete(after, a_cluster(3, 1), days=1)
    assert none == ()
    assert "w2/kubelet-client" in fewer.pairs


def test_the_order_of_sans_is_no_difference() -> None:
    one = a_cluster(certificates=Certificates(extra_sans=("a.example", "b.example")))
    two = a_cluster(certificates=Certificates(extra_sans=("b.example", "a.example")))
    assert _complete(_complete(Pki(), one)[0], two, days=1)[1] == ()


@pytest.mark.parametrize(
    ("days", "reason"),
    [(336, "expires in 29 days"), (365.5, "expired 0 days ago"), (400, "expired 35 days ago"), (-1, "not valid before 2025-12-31 23:00 UTC")],
)
def test_leaves_are_renewed_before_they_expire_and_after(days: float, reason: str) -> None:
    _, issued = _complete(a_pki(), a_cluster(), days=days)
    assert len(issued) == len(a_pki().pairs)
    assert {entry.reason for entry in issued} == {reason}


def test_short_leaves_are_not_renewed_at_every_run() -> None:
    spec = a_cluster(certificates=Certificates(leaf_days=9))
    pki = _complete(Pki(), spec)[0]
    assert _complete(pki, spec, days=5)[1] == ()
    assert len(_complete(pki, spec, days=7)[1]) == len(pki.pairs)


def test_a_leaf_never_outlives_its_ca_and_is_not_renewed_in_vain() -> None:
    spec = a_cluster(certificates=Certificates(ca_days=100))
    pki = _complete(Pki(), spec)[0]
    assert {inspect.describe(p.cert_pem).not_after for p in pki.pairs.values()} == {THE_DAY + 100 * DAY}
    assert _complete(pki, spec, days=95)[1] == ()
    with pytest.raises(PkiError, match=r"the CA ca \(ca/ca.crt\) has expired"):
        _complete(pki, spec, days=101)


def test_another_key_type_is_a_reason() -> None:
    spec, pki = _made(KeyType.RSA)
    ecdsa = replace(spec, certificates=Certificates())
    _, issued = _complete(pki, ecdsa, days=1)
    assert {entry.reason for entry in issued if entry.id in pki.pairs} == {"key type rsa, want ecdsa"}


def test_a_leaf_of_another_ca_of_ours_is_issued_anew() -> None:
    pki = a_pki()
    swapped = replace(pki, pairs={**pki.pairs, "m1/etcd-peer": pki.pairs["m1/kubelet-server"]})
    _, issued = _complete(swapped, a_cluster(), days=1)
    assert _ids(issued) == ["m1/etcd-peer"]
    assert issued[0].reason.startswith("signed by kubernetes-ca ")


@pytest.mark.parametrize(
    ("without", "file"),
    [
        ({"cas": {n: c for n, c in a_pki().cas.items() if n != "etcd-ca"}}, "ca/etcd-ca.crt"),
        ({"cas": {}}, "ca/ca.crt"),
        ({"sa_key": b""}, "sa.key"),
        ({"sa_pub": b""}, "sa.pub"),
        ({"sealing": Sealing()}, "encryption.key"),
        ({"cas": {}, "pairs": {}, "sa_key": b"", "sa_pub": b""}, "ca/ca.crt"),
    ],
)
def test_no_ca_and_no_key_is_ever_made_anew_beside_other_material(without: dict[str, object], file: str) -> None:
    holed = replace(a_pki(), **without)  # type: ignore[arg-type]  # fields of Pki
    with pytest.raises(PkiError) as caught:
        _complete(holed, a_cluster())
    assert file in [problem.where for problem in caught.value.problems]
    assert file in caught.value.hint


def test_without_a_ca_key_everything_that_needs_no_signature_works() -> None:
    pki = a_pki()
    offline = replace(pki, cas={name: KeyPair(cert_pem=ca.cert_pem) for name, ca in pki.cas.items()})
    assert damage(offline) == ()
    assert _complete(offline, a_cluster(), days=1) == (offline, ())


def test_without_a_ca_key_a_needed_signature_is_named() -> None:
    pki = a_pki(3, 1)
    offline = replace(pki, cas={**pki.cas, "ca": KeyPair(cert_pem=pki.ca("ca").cert_pem)})
    with pytest.raises(PkiError, match=r"4 certificates cannot be issued: the key of the CA ca \(ca/ca.key\) is not here") as caught:
        _complete(offline, a_cluster(3, 2), days=1)
    assert [p.where for p in caught.value.problems] == ["w2/kubelet-server", "w2/endpoint-health", "w2/kubelet-client", "w2/kube-proxy-client"]
    with pytest.raises(PkiError, match="1 certificate cannot be issued"):
        issue.bootstrap_admin(offline, now=THE_DAY, entropy=SameEntropy())


def test_the_first_bindings_certificate_lives_ten_minutes_in_system_masters() -> None:
    pair, entry = issue.bootstrap_admin(a_pki(), now=THE_DAY, entropy=SameEntropy("b"))
    found = inspect.describe(pair.cert_pem)
    assert found.organizations == {"system:masters"}
    assert found.not_after == THE_DAY + timedelta(minutes=10)
    assert found.usages == {"client"}
    assert inspect.is_signed_by(pair.cert_pem, a_pki().ca("ca").cert_pem)
    assert (entry.id, entry.groups, entry.not_after) == ("bootstrap-admin", ("system:masters",), found.not_after)


def test_every_signature_is_recorded() -> None:
    pki, issued = _complete(Pki(), a_cluster())
    assert len(issued) == len(pki.cas) + len(pki.pairs)
    for entry in issued:
        pair = pki.cas[entry.id] if entry.id in pki.cas else pki.pairs[entry.id]
        found = inspect.describe(pair.cert_pem)
        assert (entry.serial, entry.subject, entry.issuer, entry.not_after) == (found.serial, found.common_name, found.issuer, found.not_after)
        assert entry.when == THE_DAY


def test_no_key_shows_in_a_repr() -> None:
    pki = a_pki()
    shown = repr(pki) + str(pki.pair("admin"))
    assert "PRIVATE" not in shown
    assert repr(pki.sealing.readers[0].secret) not in shown
