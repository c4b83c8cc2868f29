"""The three commands, as a user meets them: output, files and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.catalog.releases import binaries, downloads, images
from kbootstrap.store.artifacts import pins
from kbootstrap.tasks import artifacts

from .conftest import Site, sha256

CLUSTER = """\
cluster: lab
kubernetes: "1.36.3"
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
hosts:
  masters: {m1: {address: 10.77.0.11}}
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the inventory of one cluster."""
    folder = tmp_path / "inventory" / "lab"
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text(CLUSTER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KB_CLUSTER", raising=False)
    return tmp_path


def run(command: Any, **options: Any) -> None:
    command(Context(), **options)


def serve_sums(site: Site, version: str) -> None:
    for file in downloads():
        if file.component == "kubernetes" and file.sums_pattern:
            site.files[f"/{file.path(version, 'amd64')}.sha256"] = sha256(file.name.encode()).value.encode()


def test_pin_keeps_what_the_catalog_lacks_and_says_how_far_to_trust_it(site: Site, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve_sums(site, "1.36.3")
    run(artifacts.pin, arch="amd64", mirror=site.address)
    assert "4 checksums in inventory/lab/pins.yml, trusted on first use." in capsys.readouterr().out
    kept = pins.load(checkout / "inventory/lab/pins.yml")
    assert {url.rpartition("/")[2] for url in kept} == {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}
    assert all(url.startswith("https://dl.k8s.io/release/v1.36.3/bin/linux/amd64/") for url in kept)


def test_pins_of_several_versions_stand_side_by_side(site: Site, checkout: Path) -> None:
    for version in ("1.36.3", "1.36.1"):
        serve_sums(site, version)
        run(artifacts.pin, kubernetes=version, arch="amd64", mirror=site.address)
    assert len(pins.load(checkout / "inventory/lab/pins.yml")) == 8


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"kubernetes": "1.36"}, 2, "names no version to pin"),
        ({"component": "haproxy=1.2.3"}, 2, "names no version to pin"),
        ({"mirror": "http://mirror.example"}, 5, "over https only"),
        ({"mirror": "http://127.0.0.1:9"}, 5, "does not answer"),
        ({"cluster": "other"}, 2, "there is no inventory/other/cluster.yml"),
    ],
)
def test_pin_refuses(options: dict[str, str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        run(artifacts.pin, **options)
    shown = capsys.readouterr().err
    assert caught.value.code == code
    assert says in shown
    assert "Traceback" not in shown


def test_list_shows_everything_without_asking_anybody(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(artifacts.list_, cache=str(tmp_path / "cache"), mirror=site.address, json=True)
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == {*binaries(), *(f"image {name}" for name in images())}
    assert {row["source"] for row in rows} == {"-"}
    assert {row["version"] for row in rows if row["name"] == "kubelet"} == {"1.36.3"}
    assert site.requests == []


def test_fetch_names_everything_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        run(artifacts.fetch, cache=str(tmp_path / "cache"), source="mirror", mirror=str(tmp_path / "nothing"))
    shown = capsys.readouterr().err
    assert caught.value.code == 5
    assert f"kubelet from mirror  the mirror has no file {tmp_path}/nothing/release/v1.36.3/bin/linux/amd64/kubelet" in shown
    assert "invoke artifacts.pin --kubernetes 1.36.3" in shown


def test_fetch_refuses_an_unknown_source(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        run(artifacts.fetch, source="floppy")
    assert caught.value.code == 2
    assert "There is auto, release, mirror, gomod." in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_fetch_brings_and_lists_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kbootstrap.catalog.releases.binaries", lambda: {"loopback": "cni-plugins"})
    monkeypatch.setattr("kbootstrap.catalog.releases.images", lambda: {"pause": images()["pause"]})
    run(artifacts.fetch, cache=str(tmp_path / "cache"), source="gomod", kubernetes="1.36.3", json=True)
    fetched = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["source"]) for row in fetched] == [("loopback", "gomod"), ("image pause", "gomod")]
    run(artifacts.list_, cache=str(tmp_path / "cache"), source="gomod", json=True)
    assert json.loads(capsys.readouterr().out) == fetched
    run(artifacts.list_, cache=str(tmp_path / "cache"), source="gomod")
    assert fetched[0]["sha256"][:12] in capsys.readouterr().out
