"""Roles × the table of certificates: whatever a cluster issues lies on its host, and some unit uses it."""

from __future__ import annotations

import pytest

from kbootstrap.engine.prepare import roles
from kbootstrap.model.cluster import EndpointKind
from kbootstrap.model.pki import SERVICE_ACCOUNT
from kbootstrap.pki.profiles import CAS, profiles
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.certificates import Held, Part, held, reloaded, units
from kbootstrap.rolebook.expand import World
from kbootstrap.testing.builders import a_cluster, a_pki

SPEC = a_cluster(3, 2)
ROLES = roles()


def on(host: str) -> tuple[Held, ...]:
    world = World(spec=SPEC, pki=a_pki(3, 2), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    return held(world, ROLES, SPEC.host(host))


@pytest.mark.parametrize("host", [host.name for host in SPEC.hosts])
def test_what_is_issued_for_a_host_lies_there_and_is_used_by_a_unit(host: str) -> None:
    mine = {p.name for p in profiles(SPEC) if p.host == host}
    there = {each.name for each in on(host)}
    assert mine - there == set()
    assert there - mine <= {*CAS, SERVICE_ACCOUNT, "admin"}
    assert there - set(units(ROLES, SPEC, SPEC.host(host))) <= {"admin"}, "nobody but people uses the admin's"


def test_a_key_lies_beside_its_certificate_and_is_its_owners_alone() -> None:
    files = on("m1")
    assert len({each.file.name for each in files}) == len(files)
    for each in files:
        assert each.file.mode == (0o644 if each.part is Part.CERT else 0o600), each.file.name
        if each.part is Part.KEY:
            cert = next(other for other in files if other.name == each.name and other.part is Part.CERT)
            assert cert.file.owner == each.file.owner
    assert not any(b"PRIVATE" in each.file.content for each in files if each.name in CAS), "no CA's key lies on a host"


def test_the_endpoint_alone_is_reloaded() -> None:
    assert SPEC.endpoint.kind is EndpointKind.HAPROXY
    assert reloaded(ROLES) == {"kb-endpoint.service"}
