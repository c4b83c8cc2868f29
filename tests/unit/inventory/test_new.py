"""New inventories: what is written is good, and reads back as what was asked for."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kbootstrap.errors import UsageError
from kbootstrap.inventory import check
from kbootstrap.inventory.new import from_addresses, scalar
from kbootstrap.model.host import Role


@given(
    st.sampled_from([1, 3, 5]),
    st.integers(1, 6),
    st.integers(0, 1),
    st.from_regex(r"[a-z_][a-z0-9_.-]{0,8}", fullmatch=True),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?", fullmatch=True),
)
@settings(max_examples=60)
def test_round_trip(masters: int, workers: int, shared: int, user: str, name: str) -> None:
    first = [f"192.168.1.{n}" for n in range(10, 10 + masters)]
    second = [f"192.168.2.{n}" for n in range(10, 10 + workers)] + first[:shared]
    text = from_addresses(name, masters=",".join(first), workers=",".join(second), user=user, key="ssh/id")
    spec, findings = check(text, "c.yml")
    assert spec is not None, list(map(str, findings))
    assert not findings
    assert spec.name == name
    assert [str(host.address) for host in spec.masters] == first
    assert {str(host.address) for host in spec.workers} == set(second)
    assert all(host.ssh.user == user and host.ssh.sudo.needed == (user != "root") for host in spec.hosts)


def test_names_may_be_given() -> None:
    spec, _ = check(from_addresses("lab", masters="a=10.0.0.1, 10.0.0.2,c=10.0.0.3", workers="10.0.0.4"), "c.yml")
    assert spec is not None
    assert {host.name: host.address for host in spec.hosts} == {
        "a": IPv4Address("10.0.0.1"), "m2": IPv4Address("10.0.0.2"), "c": IPv4Address("10.0.0.3"), "w1": IPv4Address("10.0.0.4"),
    }  # fmt: skip


def test_the_same_address_in_both_lists_is_one_host() -> None:
    spec, _ = check(from_addresses("lab", masters="10.0.0.1", workers="10.0.0.1"), "c.yml")
    assert spec is not None
    assert [(host.name, host.roles) for host in spec.hosts] == [("m1", frozenset({Role.MASTER, Role.WORKER}))]


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the host a is given twice: 10\.0\.0\.1 and 10\.0\.0\.2"):
        from_addresses("lab", masters="a=10.0.0.1,a=10.0.0.2")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"masters": "10.0.0.1,10.0.0.2"}, "masters: 2 given; etcd needs an odd number"),
        ({"masters": "10.0.0.300"}, "10.0.0.300: expected an IPv4 address"),
        ({"masters": "10.0.0.1", "user": "a: b\nc"}, "user: a: b\\nc: a user's name has"),
        ({"masters": "10.0.0.1", "key": "}\nhosts: {}"}, "key: }\\nhosts: {}: a path has"),
        ({"masters": "x}: {=10.0.0.1"}, "x}: {: a hostname has"),
        ({"masters": ""}, "masters: none given"),
    ],
)
def test_bad_arguments_become_findings_and_no_other_yaml(arguments: dict[str, str], expected: str) -> None:
    spec, findings = check(from_addresses("lab", **arguments), "c.yml")
    assert spec is None
    assert any(expected in str(finding) for finding in findings), list(map(str, findings))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_written_scalar_reads_back_as_itself(text: str) -> None:
    assert yaml.safe_load(f"a: {{b: {scalar(text)}}}")["a"]["b"] == text
