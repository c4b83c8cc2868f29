"""Bundles on a real disk: the same bytes twice, everything or nothing on the other side, and nothing that was changed on the way."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.catalog.releases import Checksum, builds, downloads
from kbootstrap.engine import bundle as making
from kbootstrap.errors import ArtifactError, ChecksumError, KbError, UsageError
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.store import artifacts, bundle
from kbootstrap.store.artifacts import gomod, records
from kbootstrap.store.artifacts.source import Want
from kbootstrap.store.bundle_header import Content
from kbootstrap.tasks import artifacts as listing
from kbootstrap.tasks import bundle as tasks

FILES = {
    "gomod/kubernetes-1.36.3/amd64/kubelet": b"kubelet" * 300,
    "mirror/etcd-3.6.15/amd64/etcd": b"etcd" * 1000,
    "images/pause-3.10.1/amd64/mirror.tar": b"pause" * 10,
    "images/coredns-1.14.7/amd64/gomod.tar": b"",
}
AT_HOME = [
    "gomod/kubernetes-1.36.3/amd64/kubelet",
    "images/coredns-1.14.7/amd64/gomod.tar",
    "images/pause-3.10.1/amd64/release.tar",
    "release/etcd-3.6.15/amd64/etcd",
]


def filled(cache: Path) -> Path:
    for place, content in FILES.items():
        records.private_directory((cache / place).parent)
        new = cache / "new"
        new.write_bytes(content)
        records.admit(new, cache / place, origin={"from": place}, mode=0o644 if place.endswith(".tar") else 0o755, extra={"digest": place[:5]})
    return cache


def written(cache: Path, target: Path, **changed: Any) -> str:
    paths = {cache / place for place in FILES}
    items = {item.place: (item, path) for item, path in ((bundle.item(path.name, "1", path, cache), path) for path in paths)}
    content = Content(
        **{"kubernetes": "1.36.3", "arch": "amd64", "versions": {"etcd": "3.6.15"}, "items": tuple(items[p][0] for p in sorted(items)), **changed}
    )
    sha256 = bundle.write(target, content, {place: path for place, (_, path) in items.items()})
    assert content.size == target.stat().st_size
    return sha256


@pytest.fixture
def made(tmp_path: Path) -> Path:
    written(filled(tmp_path / "from"), tmp_path / "x.kbbundle")
    return tmp_path / "x.kbbundle"


def load(source: Path, cache: Path) -> tuple[Content, int]:
    """As who compared its sum, and was deceived all the same."""
    return bundle.load(source, cache, sha256=records.digest(source))


def places(cache: Path) -> list[str]:
    return sorted(p.relative_to(cache).as_posix() for p in cache.rglob("*") if p.is_file() and p.suffix != ".json" and not p.name.startswith("."))


def test_the_same_content_is_the_same_bytes_wherever_and_whenever(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert written(filled(tmp_path / name), tmp_path / f"{name}.kbbundle") == records.digest(tmp_path / "a.kbbundle")
    assert not list(tmp_path.glob(".*"))


def test_what_is_loaded_is_found_as_if_it_had_been_fetched_here(made: Path, tmp_path: Path) -> None:
    cache = tmp_path / "to"
    content, new = bundle.load(made, cache, sha256=records.digest(made).upper())
    assert (new, content.arch, content.versions) == (4, "amd64", {"etcd": "3.6.15"})
    assert places(cache) == AT_HOME
    for place, content_ in FILES.items():
        assert (cache / place.replace("mirror", "release")).read_bytes() == content_
    record = records.lookup(cache / AT_HOME[2], {"from": "images/pause-3.10.1/amd64/mirror.tar"})
    assert record is not None
    assert record.extra == {"digest": "image", "bundle": records.digest(made)}
    assert [(cache / place).stat().st_mode & 0o777 for place in AT_HOME] == [0o755, 0o644, 0o644, 0o755]
    assert load(made, cache)[1] == 0
    (cache / AT_HOME[0]).write_bytes(b"other")
    records.admit(cache / AT_HOME[0], cache / AT_HOME[0], origin={"from": AT_HOME[0]})
    assert load(made, cache)[1] == 1


def _refused(source: Path, cache: Path, what: str = ".", sha256: str = "") -> None:
    with pytest.raises(KbError, match=what):
        bundle.load(source, cache, sha256=sha256 or records.digest(source))
    assert places(cache) == []
    assert not (cache / "incoming-bundle").exists()


def test_one_that_was_cut_short_is_refused_wherever_it_was_cut(made: Path, tmp_path: Path) -> None:
    whole = made.read_bytes()
    for length in (0, 100, 512, 3000, len(whole) // 2, len(whole) - 10240, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        _refused(tmp_path / "cut", tmp_path / "to")
    (tmp_path / "cut").write_bytes(whole[:-1])
    _refused(tmp_path / "cut", tmp_path / "to", f"was cut short: {len(whole) - 1} of {len(whole)} bytes")
    (tmp_path / "cut").write_bytes(whole + b"x")
    _refused(tmp_path / "cut", tmp_path / "to", "more bytes than it says")


def test_a_changed_byte_is_refused_or_changes_nothing_that_is_loaded(made: Path, tmp_path: Path) -> None:
    whole = bytearray(made.read_bytes())
    right = records.digest(made)
    for position in range(0, len(whole) - 10240, 211):
        whole[position] ^= 1
        (tmp_path / "changed").write_bytes(whole)
        whole[position] ^= 1
        cache = tmp_path / f"to{position}"
        _refused(tmp_path / "changed", cache, sha256=right)
        try:
            load(tmp_path / "changed", cache)
        except KbError:
            assert places(cache) == []
        else:
            assert {(cache / place).read_bytes() for place in places(cache)} == set(FILES.values()), position


def _forged(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """*source* with another header, and everything else as it was."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            content = old.extractfile(member).read()  # type: ignore[union-attr]  # regular files all
            if member.name == bundle.HEADER:
                document = json.loads(content)
                change(document)
                content = (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()
            entry = tarfile.TarInfo(member.name)
            entry.size, entry.mode = len(content), member.mode
            new.addfile(entry, io.BytesIO(content))
    return target


@pytest.mark.parametrize("place", ["../../etc/passwd", "/etc/passwd", "a/../b", "x", "a//b", "a/.b"])
def test_a_place_outside_of_the_cache_is_refused(made: Path, tmp_path: Path, place: str) -> None:
    forged = _forged(made, tmp_path / "forged", lambda document: document["items"][0].update(place=place))
    _refused(forged, tmp_path / "to", "names places that no cache has")


def test_other_content_than_its_header_names_is_refused(made: Path, tmp_path: Path) -> None:
    _refused(_forged(made, tmp_path / "a", lambda d: d["items"][1].update(sha256="0" * 64)), tmp_path / "to", "expected sha256 0000")
    _refused(_forged(made, tmp_path / "b", lambda d: d["items"].pop()), tmp_path / "to", "more bytes than it says|holds more than it names")
    _refused(_forged(made, tmp_path / "c", lambda d: d["items"].reverse()), tmp_path / "to", "is not where the bundle says")
    _refused(_forged(made, tmp_path / "d", lambda d: d.update(format=2)), tmp_path / "to", "a later version")
    _refused(_forged(made, tmp_path / "e", lambda d: d.update(more=1)), tmp_path / "to", "no bundle, or was changed")


def test_a_published_file_must_be_what_the_catalog_says_whatever_the_header_says(made: Path, tmp_path: Path) -> None:
    plain = next(file for file in downloads() if not file.is_archive and ("1.36.3", "amd64") in file.checksums)
    url = plain.url("1.36.3", "amd64")
    _refused(_forged(made, tmp_path / "a", lambda d: d["items"][0]["origin"].update(url=url)), tmp_path / "to", "is not the published one")


def test_without_its_sum_nothing_is_loaded_that_no_project_publishes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or a script under the kubelet's name would run as root on every host, though the catalog knows the kubelet's checksum."""
    place, want = "gomod/kubernetes-1.36.3/amd64/kubelet", Want(name="kubelet", component="kubernetes", version="1.36.3", arch="amd64")
    cache, here = tmp_path / "from", tmp_path / "to"
    (tmp_path / "script").write_text("#!/bin/sh\n")
    records.private_directory((cache / place).parent)
    records.admit(tmp_path / "script", cache / place, origin=gomod._origin(builds()["kubernetes"], want), extra={"go": "go1.26.8"})
    content = Content(kubernetes="1.36.3", arch="amd64", versions={}, items=(bundle.item("kubelet", "1.36.3", cache / place, cache),))
    sha256 = bundle.write(tmp_path / "x", content, {place: cache / place})
    with pytest.raises(UsageError, match=r"nobody publishes a checksum of 1 file in it \(kubelet 1\.36\.3\), so its own must be said") as refused:
        bundle.load(tmp_path / "x", here)
    assert "invoke bundle.make printed it" in refused.value.hint
    assert not here.exists()
    source = Artifacts(source=ArtifactSource.GOMOD, offline=True)
    bundle.load(tmp_path / "x", here, sha256=sha256)
    told = [artifacts.cached(["kubelet"], {"kubernetes": "1.36.3"}, "amd64", source, cache=place)["kubelet"].trust for place in (cache, here)]
    assert told == ["built here, go.sum", "from a bundle"]
    listing.list_(Context(), kubernetes="1.36.3", cache=str(here))
    assert f"{content.items[0].sha256[:12]}  from a bundle\n" in capsys.readouterr().out
    again = bundle.item("kubelet", "1.36.3", here / place, here)
    assert again == content.items[0]


def test_what_a_project_publishes_as_it_is_needs_no_sum(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, value = "https://example.org/x", records.digest(made.parent / "from" / "gomod/kubernetes-1.36.3/amd64/kubelet")
    monkeypatch.setattr(bundle, "_published", lambda: {url: Checksum("sha256", value)})
    forged = _forged(made, tmp_path / "a", lambda d: d["items"][0]["origin"].update(url=url))
    with pytest.raises(UsageError, match="a checksum of 3 files in it"):
        bundle.load(forged, tmp_path / "to")
    load(forged, tmp_path / "to")
    records_ = [records.read(tmp_path / "to" / place) for place in AT_HOME]
    assert ["bundle" in record.extra for record in records_ if record] == [False, True, True, True]


WRONG: list[dict[str, Any]] = [
    {"place": 5}, {"place": None}, {"size": "1"}, {"size": True}, {"size": -1}, {"size": 1.5}, {"mode": "644"}, {"mode": 0o4755}, {"sha256": 1},
    {"origin": "x"}, {"origin": {"url": 1}}, {"extra": []}, {"name": {}}, {"place": "gomod/kubernetes-1.36.3/amd64/kubelet.json"},
]  # fmt: skip


def _described(wrong: dict[str, Any], document: dict[str, Any]) -> None:
    document["items"][0].update(wrong)


def test_a_header_of_other_values_is_no_bundle(made: Path, tmp_path: Path) -> None:
    changes: list[Callable[[dict[str, Any]], object]] = [partial(_described, wrong) for wrong in WRONG]
    changes += [
        lambda d: d.update(kubernetes=1),
        lambda d: d.update(versions="x"),
        lambda d: d.update(versions={"etcd": 3}),
        lambda d: d.update(items=[5]),
    ]
    for number, change in enumerate(changes):
        with pytest.raises(ArtifactError, match="is no bundle, or was changed"):
            bundle.head(_forged(made, tmp_path / f"{number}", change))
    for text in (b"[]", b"5", b"[" * 100_000, b"\xff", b"{}"):
        with tarfile.open(tmp_path / "x", "w", format=tarfile.USTAR_FORMAT) as tar:
            entry = tarfile.TarInfo(bundle.HEADER)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
        with pytest.raises(ArtifactError, match="is no bundle, or was changed"):
            bundle.head(tmp_path / "x")


def test_a_file_of_the_cache_that_changed_goes_into_no_bundle(tmp_path: Path) -> None:
    cache = filled(tmp_path / "from")
    (cache / "gomod/kubernetes-1.36.3/amd64/kubelet").write_bytes(b"KUBELET" * 300)
    with pytest.raises(ChecksumError, match="changed since it was verified"):
        written(cache, tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


def test_another_version_or_architecture_than_asked_is_refused_with_what_to_make(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds Kubernetes 1\.36\.3, and 1\.35\.4 is wanted; nothing was loaded") as refused:
        making.load(made, tmp_path / "to", kubernetes="1.35.4")
    assert "invoke bundle.make --kubernetes 1.35.4 --arch amd64" in refused.value.hint
    with pytest.raises(ArtifactError, match="binaries for amd64, and hosts are arm64"):
        making.load(made, tmp_path / "to", arches=("arm64",))
    assert not (tmp_path / "to").exists()
    assert making.load(made, tmp_path / "to", kubernetes="1.36.3", arches=("amd64", "arm64"), sha256=records.digest(made))[1] == 4


def test_the_command_says_what_came_and_refuses_what_the_cluster_does_not_want(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sha256 = records.digest(made)
    with pytest.raises(Exit):
        tasks.load(Context(), file=str(made), cache="to")
    assert f"bundle.load {made} --sha256 SUM" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()
    tasks.load(Context(), file=str(made), cache="to", sha256=sha256)
    assert "4 of 4 files were new, all are verified: Kubernetes 1.36.3 for amd64" in capsys.readouterr().out
    (tmp_path / "inventory/lab").mkdir(parents=True)
    (tmp_path / "inventory/lab/cluster.yml").write_text('cluster: lab\nkubernetes: "1.35.4"\nhosts: {masters: {m1: {address: 192.0.2.11}}}\n')
    with pytest.raises(Exit):
        tasks.load(Context(), file=str(made), cache="other")
    assert "holds Kubernetes 1.36.3, and 1.35.4 is wanted" in capsys.readouterr().err
    tasks.load(Context(), file=str(made), cache="other", any=True, json=True, sha256=sha256)
    assert json.loads(capsys.readouterr().out)["new"] == 4
    with pytest.raises(Exit):
        tasks.load(Context(), file="nowhere", cache="other")
    assert "No such file" in capsys.readouterr().err


def test_no_file_at_all_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        bundle.head(tmp_path / "nothing")
