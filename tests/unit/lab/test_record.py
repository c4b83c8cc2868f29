"""What a lab remembers of itself, and the names by which its things are found."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kbootstrap.errors import CommandError
from kbootstrap.lab import image, network, record


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def a_record(name: str = "lab") -> record.Record:
    return record.Record(
        name=name, network=IPv4Network("10.77.0.0/24"), masters=3, workers=2, packages=("ufw",), image=Path("/i"), folder=Path("/f")
    )  # fmt: skip


def test_a_record_is_read_as_it_was_written() -> None:
    assert record.load("lab") is None
    record.save(a_record())
    record.save(a_record("two"))
    assert record.load("lab") == a_record()
    assert record.recorded() == (a_record(), a_record("two"))


def test_a_record_is_private_and_no_half_file_stays() -> None:
    record.save(a_record())
    (file,) = record.home("lab").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_killed_writer_s_half_file_is_no_obstacle() -> None:
    record.save(a_record())
    record.unfinished(record.home("lab") / "lab.json").write_text("{")
    record.save(a_record())
    assert record.load("lab") == a_record()


@pytest.mark.parametrize(
    ("label", "ours"), [("kb-lab-m1", True), ("kb-lab-w79", True), ("kb-lab", False), ("kb-lab2-m1", False), ("kb-lab-m1-x", False)]
)
def test_labels_of_one_lab_are_never_taken_for_another_s(label: str, ours: bool) -> None:
    assert bool(record.labels("lab").fullmatch(label)) is ours


def test_the_first_free_network_overlaps_nothing() -> None:
    taken = [IPv4Network("10.77.0.0/24"), IPv4Network("10.77.1.128/25"), IPv4Network("10.77.2.1/32")]
    assert network.first_free(taken) == IPv4Network("10.77.3.0/24")
    assert network.first_free([IPv4Network("10.0.0.0/8")]) == IPv4Network("172.29.0.0/24")
    with pytest.raises(CommandError, match="is free"):
        network.first_free([IPv4Network("0.0.0.0/0")])


def test_another_package_list_is_another_image() -> None:
    assert image.key() == image.key(("systemd",)) != image.key(("ufw",))
    assert re.fullmatch(r"base-bookworm-[0-9a-f]{12}", image.key())
