"""Where the demo's binaries come from: pinned first where the official sites answer, else what a build needs is made sure of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog.releases import Checksum
from kbootstrap.errors import UnavailableError
from kbootstrap.inventory.new import from_addresses
from kbootstrap.store import artifacts
from kbootstrap.store.artifacts import pins
from kbootstrap.tasks import _demo


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the only cluster, an empty cache, and a PATH without any program."""
    folder = tmp_path / "inventory/mine"
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text(from_addresses("mine", masters="10.0.0.11", workers="", user="root", key=""))
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return folder


def choose(folder: Path, source: str) -> None:
    path = folder / "cluster.yml"
    path.write_text(path.read_text() + f"artifacts: {{source: {source}}}\n")


def test_without_go_it_says_what_to_install(cluster: Path) -> None:
    choose(cluster, "gomod")
    with pytest.raises(UnavailableError, match="go is not installed") as caught:
        _demo.binaries("mine")
    assert "Install Go" in caught.value.hint


def test_without_go_and_without_the_official_sites(cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def silent(*_: object, **__: object) -> dict[str, Checksum]:
        raise UnavailableError("dl.example does not answer")

    monkeypatch.setattr(pins, "take", silent)
    with pytest.raises(UnavailableError, match="go is not installed"):
        _demo.binaries("mine")
    assert "the official sites do not answer (dl.example does not answer): building from Go modules" in capsys.readouterr().out


def test_what_the_catalog_lacks_is_pinned_before_it_is_fetched(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checksum, asked = Checksum.parse("sha256:" + "a" * 64), dict[str, tuple[str, ...]]()

    def take(component: str, version: str, arches: Iterable[str], **_: Any) -> dict[str, Checksum]:
        asked[component] = tuple(arches)
        return {f"https://dl.example/{component}/{version}": checksum} if component == "kubernetes" else {}

    def fetch(*_: Any, pins: dict[str, Checksum], **__: Any) -> dict[str, Any]:
        raise UnavailableError(f"asked with {len(pins)} pin")

    monkeypatch.setattr(pins, "take", take)
    monkeypatch.setattr(artifacts, "fetch", fetch)
    with pytest.raises(UnavailableError, match="asked with 1 pin"):
        _demo.binaries("mine")
    assert asked["kubernetes"] == ("amd64",)
    assert {"etcd", "containerd", "runc"} <= set(asked)
    assert pins.load(cluster / "pins.yml") == {"https://dl.example/kubernetes/1.36.3": checksum}
    assert "1 checksums that the catalog lacks are pinned in inventory/mine/pins.yml: trusted on first use" in capsys.readouterr().out
