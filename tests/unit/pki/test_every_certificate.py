"""For any inventory: every certificate is read again and says exactly what its profile wants, and nobody is in ``system:masters``."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap.model.cluster import Certificates, ClusterSpec, Endpoint, EndpointKind, KeyType
from kbootstrap.model.pki import Pki
from kbootstrap.pki import inspect, issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki
from tests.unit.pki.test_issue import _assert_leaf

LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,14}[a-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
ADDRESS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
SANS = st.lists(st.one_of(NAME, ADDRESS), max_size=5).map(tuple)


@st.composite
def specs(draw: st.DrawFn) -> ClusterSpec:
    spec = a_cluster(draw(st.sampled_from((1, 3))), draw(st.integers(0, 2)))
    kind = draw(st.sampled_from(EndpointKind))
    endpoint = Endpoint(kind=kind, address=draw(st.one_of(NAME, ADDRESS)) if kind is EndpointKind.EXTERNAL else "")
    network = replace(spec.network, domain=draw(NAME))
    return replace(spec, endpoint=endpoint, network=network, certificates=Certificates(extra_sans=draw(SANS)))


@settings(max_examples=25)
@given(spec=specs())
def test_every_certificate_of_any_inventory_says_what_its_profile_wants(spec: ClusterSpec) -> None:
    wanted = profiles(spec)
    pki, issued = issue.complete(Pki(), wanted, now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())
    assert set(pki.pairs) == {p.id for p in wanted}
    assert len(issued) == len(wanted) + len(pki.cas)
    for profile in wanted:
        pair = pki.pair(profile.id)
        cert = x509.load_pem_x509_certificate(pair.cert_pem)
        _assert_leaf(cert, profile, KeyType.ECDSA)
        cert.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca(profile.issuer).cert_pem))
        assert inspect.key_matches(pair)
        assert issue.BREAK_GLASS_GROUP not in inspect.describe(pair.cert_pem).organizations
        extensions = {e.oid._name for e in cert.extensions}
        always = {"subjectKeyIdentifier", "basicConstraints", "keyUsage", "extendedKeyUsage", "authorityKeyIdentifier"}
        assert extensions - always == ({"subjectAltName"} if profile.dns_names or profile.ip_addresses else set())
    assert {reason for p in wanted if (reason := inspect.reason(pki, p, now=THE_DAY, certificates=spec.certificates))} == set()


@settings(max_examples=25)
@given(sans=SANS)
def test_whoever_dials_by_a_name_that_the_user_added_is_served_for_it(sans: tuple[str, ...]) -> None:
    spec = replace(a_cluster(1, 0), certificates=Certificates(extra_sans=sans))
    wanted = [p for p in profiles(spec) if p.name == "apiserver"]
    pem = issue.complete(Pki(), wanted, now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0].pair("m1/apiserver").cert_pem
    found = inspect.describe(pem)
    for san in sans:
        try:
            assert ip_address(san) in found.ip_addresses
        except ValueError:
            assert san in found.dns_names


def test_the_ten_minute_certificate_alone_is_in_system_masters() -> None:
    pair, record = issue.bootstrap_admin(a_pki(), now=THE_DAY, entropy=SameEntropy("boot"))
    found = inspect.describe(pair.cert_pem)
    assert found.organizations == {issue.BREAK_GLASS_GROUP}
    assert (found.not_after - THE_DAY).total_seconds() == 600
    assert record.groups == (issue.BREAK_GLASS_GROUP,)
    everyone = {group for p in a_pki().pairs.values() for group in inspect.describe(p.cert_pem).organizations}
    assert everyone == {"system:nodes", "system:node-proxier", "kbootstrap:admins"}
