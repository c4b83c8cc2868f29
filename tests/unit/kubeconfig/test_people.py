"""Who gets a kubeconfig: what is asked for is refused before anything is signed, with every reason at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kbootstrap.errors import UsageError
from kbootstrap.kubeconfig import people
from kbootstrap.kubeconfig.people import Person
from kbootstrap.model.cluster import Endpoint, EndpointKind
from kbootstrap.testing.builders import THE_DAY, a_cluster

DAY = timedelta(days=1)


def refused(**options: Any) -> str:
    person = Person(**{"name": "alice", "ttl": DAY, **options})
    with pytest.raises(UsageError) as caught:
        people.require(person, now=THE_DAY, ca_ends=THE_DAY + 365 * DAY)
    return "\n".join([str(caught.value), *map(str, caught.value.problems)])


@pytest.mark.parametrize(
    ("text", "life"), [("90m", timedelta(minutes=90)), ("24h", DAY), ("7d", 7 * DAY), (" 10m ", timedelta(minutes=10)), ("0036h", 1.5 * DAY)]
)
def test_a_time_is_a_number_and_a_unit(text: str, life: timedelta) -> None:
    assert people.ttl(text) == life


@pytest.mark.parametrize("text", ["", "24", "1h30m", "-1h", "9m", "0h", "1w", "1.5h", "h", "٣h", "9999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--ttl"):
        people.ttl(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "'' is no name"),
        ({"name": "a b"}, "'a b' is no name"),
        ({"name": "a" * 65}, "64 at most"),
        ({"name": "../x"}, "is no name"),
        ({"name": "system:admin"}, "--name  system:admin belongs to the cluster itself. Rights are given by --bind"),
        ({"groups": ("devs", "system:masters")}, "--group  system:masters belongs to the cluster itself"),
        ({"groups": ("kbootstrap:admins",)}, "kbootstrap:admins belongs to the cluster itself"),
        ({"name": "kubernetes-admin"}, "`invoke kubeconfig.admin`"),
        ({"namespace": "Team"}, "'Team' is no namespace's name"),
        ({"roles": ("a/b",)}, "'a/b' is no cluster role's name"),
        ({"ttl": 366 * DAY}, "the CA that signs ends on 2027-01-01, before the certificate. Say 365d or less."),
        ({"token": True, "groups": ("devs",)}, "a service account has the groups that Kubernetes gives it"),
        ({"token": True, "name": "Alice@corp"}, "is no service account's name"),
    ],
)
def test_who_must_not_get_one_is_told_why(options: dict[str, Any], message: str) -> None:
    assert message in refused(**options)


def test_every_reason_is_said_at_once() -> None:
    said = refused(name="system:x", groups=("a b",), namespace="A")
    assert [word in said for word in ("system:x", "'a b'", "'A'")] == [True, True, True]


def test_a_person_and_a_token_that_outlives_no_ca_are_fine() -> None:
    for person in (
        Person(name="alice@corp.example", groups=("devs", "oidc:x"), ttl=365 * DAY, namespace="team-a", roles=("view", "system:node-reader")),
        Person(name="alice", ttl=366 * DAY, token=True),
    ):
        people.require(person, now=THE_DAY, ca_ends=THE_DAY + 365 * DAY)


def test_the_way_to_the_api() -> None:
    spec, sans = a_cluster(), {"10.77.0.12", "api.example"}
    assert list(people.way(spec, "", sans)) == ["lab-m1", "lab-m2", "lab-m3"]
    assert people.way(spec, "m2", sans) == {"lab": "https://10.77.0.12:6443"}
    assert people.way(spec, "https://api.example:443", sans) == {"lab": "https://api.example:443"}
    for server, message in (
        ("w1", "The masters are m1, m2, m3"),
        ("http://api.example", "neither"),
        ("https://[::1", "neither"),
        ("https://a:x", "neither"),
        ("https://else:1", "extra_sans"),
    ):
        with pytest.raises(UsageError) as caught:
            people.way(spec, server, sans)
        assert message in f"{caught.value} {caught.value.hint}"
    external = a_cluster(endpoint=Endpoint(kind=EndpointKind.EXTERNAL, address="api.example", port=443))
    assert people.way(external, "", sans) == {"lab": "https://api.example:443"}
    assert people.way(external, "m2", sans) == {"lab": "https://10.77.0.12:6443"}


def test_a_role_is_bound_in_the_namespace_or_in_the_cluster_to_the_user_or_the_account() -> None:
    user = people.objects(Person(name="alice", ttl=DAY, namespace="team-a", roles=("view",)))
    account = people.objects(Person(name="ci", ttl=DAY, roles=("edit",), token=True))
    assert [m.name for m in user] == ["RoleBinding/team-a/kbootstrap:user:alice:view"]
    assert [m.name for m in account] == ["ServiceAccount/default/ci", "ClusterRoleBinding/kbootstrap:account:ci:edit"]
    assert user[0].document["subjects"] == [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}]
    assert account[1].document["subjects"] == [{"kind": "ServiceAccount", "name": "ci", "namespace": "default"}]
    assert people.objects(Person(name="alice", ttl=DAY)) == ()
