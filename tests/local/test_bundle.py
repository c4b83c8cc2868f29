"""Bundles on a real disk: the same bytes twice, everything or nothing on the other side, and nothing that was changed on the way."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.catalog.releases import downloads
from kbootstrap.engine import bundle as making
from kbootstrap.errors import ArtifactError, ChecksumError, KbError, UsageError
from kbootstrap.store import bundle
from kbootstrap.store.artifacts import records
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
    content = bundle.Content(
        **{"kubernetes": "1.36.3", "arch": "amd64", "versions": {"etcd": "3.6.15"}, "items": tuple(items[p][0] for p in sorted(items)), **changed}
    )
    sha256 = bundle.write(target, content, {place: path for place, (_, path) in items.items()})
    assert content.size == target.stat().st_size
    return sha256


@pytest.fixture
def made(tmp_path: Path) -> Path:
    written(filled(tmp_path / "from"), tmp_path / "x.kbbundle")
    return tmp_path / "x.kbbundle"


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
    assert record.extra == {"digest": "image"}
    assert [(cache / place).stat().st_mode & 0o777 for place in AT_HOME] == [0o755, 0o644, 0o644, 0o755]
    assert bundle.load(made, cache)[1] == 0
    (cache / AT_HOME[0]).write_bytes(b"other")
    records.admit(cache / AT_HOME[0], cache / AT_HOME[0], origin={"from": AT_HOME[0]})
    assert bundle.load(made, cache)[1] == 1


def _refused(source: Path, cache: Path, what: str = ".", **options: str) -> None:
    with pytest.raises(KbError, match=what):
        bundle.load(source, cache, **options)
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
            bundle.load(tmp_path / "changed", cache)
        except KbError:
            assert places(cache) == []
        else:
            assert {(cache / place).read_bytes() for place in places(cache)} == set(FILES.values()), position


def _forged(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
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
    assert making.load(made, tmp_path / "to", kubernetes="1.36.3", arches=("amd64", "arm64"))[1] == 4


def test_the_command_says_what_came_and_refuses_what_the_cluster_does_not_want(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tasks.load(Context(), file=str(made), cache="to")
    assert "4 of 4 files were new, all are verified: Kubernetes 1.36.3 for amd64" in capsys.readouterr().out
    (tmp_path / "inventory/lab").mkdir(parents=True)
    (tmp_path / "inventory/lab/cluster.yml").write_text('cluster: lab\nkubernetes: "1.35.4"\nhosts: {masters: {m1: {address: 192.0.2.11}}}\n')
    with pytest.raises(Exit):
        tasks.load(Context(), file=str(made), cache="other")
    assert "holds Kubernetes 1.36.3, and 1.35.4 is wanted" in capsys.readouterr().err
    tasks.load(Context(), file=str(made), cache="other", any=True, json=True)
    assert json.loads(capsys.readouterr().out)["new"] == 4
    with pytest.raises(Exit):
        tasks.load(Context(), file="nowhere", cache="other")
    assert "No such file" in capsys.readouterr().err


def test_no_file_at_all_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        bundle.head(tmp_path / "nothing")
