"""Shapes of labs: names, addresses, logins."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kbootstrap.errors import UsageError
from kbootstrap.lab import value

NETWORK = IPv4Network("10.1.2.0/24")


def shape(masters: int, workers: int, name: str = "lab") -> value.Lab:
    return value.shape(name=name, network=NETWORK, masters=masters, workers=workers, home=Path("/h"), image=Path("/i"), folder=Path("/f"))


def test_masters_start_at_11_and_workers_at_21() -> None:
    assert [(h.name, str(h.address)) for h in shape(3, 2).hosts] == [
        ("m1", "10.1.2.11"), ("m2", "10.1.2.12"), ("m3", "10.1.2.13"), ("w1", "10.1.2.21"), ("w2", "10.1.2.22"),
    ]  # fmt: skip


def test_every_second_host_is_reached_by_sudo() -> None:
    assert [h.login for h in shape(3, 2).hosts] == ["root", "kb", "root", "kb", "root"]


def test_the_longest_label_fits_an_interface_name_and_no_two_macs_are_equal() -> None:
    hosts = shape(value.MAX_MASTERS, value.MAX_WORKERS, name="a2345678").hosts
    assert max(len(h.label) for h in hosts) == 15
    assert len({h.mac for h in hosts}) == len({h.address for h in hosts}) == len(hosts)


@pytest.mark.parametrize(
    ("name", "masters", "workers"),
    [("Lab", 1, 1), ("a-b", 1, 1), ("a23456789", 1, 1), ("", 1, 1), ("lab", 10, 0), ("lab", 0, 0), ("lab", -1, 3), ("lab", 1, -1), ("lab", 1, 80)],
)
def test_an_impossible_lab_is_refused(name: str, masters: int, workers: int) -> None:
    with pytest.raises(UsageError, match="want"):
        value.check(name, masters, workers)


def test_an_unknown_host_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no host m9") as caught:
        shape(1, 1).host("m9")
    assert "m1, w1" in caught.value.hint
