"""Binaries from mirrors over HTTP and from directories: verified before use, remembered, never used when wrong."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from kbootstrap.catalog.releases import Checksum, downloads_of
from kbootstrap.errors import ArtifactError, ChecksumError, InventoryError, UsageError
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.store.artifacts import Reach, download, fetch, pins

from .conftest import Heard, Site, sha256

VERSIONS = {"kubernetes": "9.9.9", "etcd": "9.9.9", "runc": "9.9.9"}  # no such versions: their checksums come from the test's pins
KUBELET = b"#!/bin/sh\necho kubelet\n" * 1000
URL = downloads_of("kubelet")[0].url("9.9.9", "amd64")
PATH = "/" + downloads_of("kubelet")[0].path("9.9.9", "amd64")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BACKOFF_S", 0.0)


def mirror(place: str | Path, names: tuple[str, ...], cache: Path, heard: Heard, wanted: dict[str, Checksum]) -> dict[str, Artifact]:
    artifacts = Artifacts(source=ArtifactSource.MIRROR, mirror=str(place))
    return fetch(names, VERSIONS, "amd64", artifacts, cache=cache, listener=heard, pins=wanted)


def test_a_mirror_over_http_gives_verified_executables(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = KUBELET
    got = mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"]
    assert got.path.read_bytes() == KUBELET
    assert (got.sha256, got.size) == (sha256(KUBELET).value, len(KUBELET))
    assert os.access(got.path, os.X_OK)
    assert (got.source, got.trust) == (ArtifactSource.MIRROR, "pinned, trusted on first use")
    assert "artifacts: kubelet from mirror" in heard.notes
    assert cache.stat().st_mode & 0o077 == 0


def test_a_warm_cache_asks_nobody_and_reads_no_content(site: Site, cache: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files[PATH] = KUBELET
    first = mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    asked = len(site.requests)
    monkeypatch.setattr("kbootstrap.store.artifacts.records.digest", lambda *args: pytest.fail("hashed again"))
    assert mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)}) == first
    assert len(site.requests) == asked


def test_a_directory_is_a_mirror(tmp_path: Path, cache: Path, heard: Heard) -> None:
    file = tmp_path / "mirror" / PATH.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(KUBELET)
    got = mirror(tmp_path / "mirror", ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"]
    assert got.path.read_bytes() == KUBELET
    assert file.exists()


def test_a_mirror_without_the_file_says_which(tmp_path: Path, cache: Path, heard: Heard) -> None:
    with pytest.raises(ArtifactError, match="no source gives kubelet") as caught:
        mirror(tmp_path, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    assert str(tmp_path / PATH.lstrip("/")) in caught.value.problems[0].what


def damage_flipped(content: bytes) -> bytes:
    return content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (damage_flipped(KUBELET), "wrong sha256: expected"),
        (KUBELET[:-1], "wrong sha256: expected"),
        (b"<!DOCTYPE html><title>404 Not Found</title>", "it is an HTML page"),
        (b"", "wrong sha256: expected"),
    ],
    ids=["flipped bit", "truncated", "404 page with status 200", "empty"],
)
def test_wrong_content_is_quarantined_and_never_used(site: Site, cache: Path, heard: Heard, content: bytes, says: str) -> None:
    site.files[PATH] = content
    with pytest.raises(ChecksumError, match=says) as caught:
        mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    assert sha256(KUBELET).value in caught.value.message
    assert sha256(content).value in caught.value.message
    (kept,) = [path for path in cache.rglob("kubelet") if path.is_file()]
    assert kept.parent.name == "quarantine"
    assert str(kept) in caught.value.hint
    assert not os.access(kept, os.X_OK) or kept.stat().st_mode & 0o111 == 0


def test_after_a_quarantine_the_right_file_is_taken(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = damage_flipped(KUBELET)
    with pytest.raises(ChecksumError):
        mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    site.files[PATH] = KUBELET
    assert mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"].path.read_bytes() == KUBELET


def test_a_wrong_checksum_ends_auto_too(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = damage_flipped(KUBELET)
    with pytest.raises(ChecksumError):
        fetch(["kubelet"], VERSIONS, "amd64", Artifacts(mirror=site.address), cache=cache, listener=heard, pins={URL: sha256(KUBELET)})


def test_a_dropped_connection_resumes(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH], site.cuts[PATH] = KUBELET, [7000]
    assert mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"].path.read_bytes() == KUBELET
    assert site.requests[-1] == (PATH, "bytes=7000-")


def test_a_cached_file_that_was_tampered_with_is_noticed(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = KUBELET
    got = mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"]
    before = got.path.stat()
    got.path.write_bytes(damage_flipped(KUBELET))
    os.utime(got.path, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and mtime lie; ctime cannot
    with pytest.raises(ChecksumError, match="changed after it was verified") as caught:
        mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    assert got.sha256 in caught.value.message
    assert not got.path.exists()
    assert mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"] == got


def test_a_cached_file_that_was_only_touched_is_kept(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = KUBELET
    got = mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"]
    os.utime(got.path)
    assert mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})["kubelet"] == got
    assert site.paths().count(PATH) == 1


def test_another_pin_makes_a_cached_file_unwanted(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = KUBELET
    mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})
    with pytest.raises(ChecksumError):
        mirror(site.address, ("kubelet",), cache, heard, {URL: sha256(b"other")})


def tarball(members: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("etcd-v9.9.9-linux-amd64/evil")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return memory.getvalue()


def test_an_archive_is_downloaded_once_and_gives_only_what_is_wanted(site: Site, cache: Path, heard: Heard) -> None:
    top = "etcd-v9.9.9-linux-amd64"
    content = tarball({f"{top}/README": b"read me", f"./{top}/etcd": b"server", f"{top}/etcdctl": b"client", "../escape": b"out"})
    (file,) = downloads_of("etcd")
    site.files["/" + file.path("9.9.9", "amd64")] = content
    got = mirror(site.address, ("etcd", "etcdctl"), cache, heard, {file.url("9.9.9", "amd64"): sha256(content)})
    assert {name: artifact.path.read_bytes() for name, artifact in got.items()} == {"etcd": b"server", "etcdctl": b"client"}
    assert len(site.requests) == 1
    assert {path.name for path in cache.rglob("*") if path.is_file() and not path.name.startswith(".")} == {
        "etcd", "etcd.json", "etcdctl", "etcdctl.json",
    }  # fmt: skip


def test_an_archive_without_the_binary_says_so(site: Site, cache: Path, heard: Heard) -> None:
    content = tarball({"other": b""})
    (file,) = downloads_of("etcd")
    site.files["/" + file.path("9.9.9", "amd64")] = content
    with pytest.raises(ArtifactError, match=r"has no etcd-v9\.9\.9-linux-amd64/etcd"):
        mirror(site.address, ("etcd",), cache, heard, {file.url("9.9.9", "amd64"): sha256(content)})


def test_without_a_pin_the_error_names_the_command(site: Site, cache: Path, heard: Heard) -> None:
    with pytest.raises(ArtifactError, match="no source gives kubelet") as caught:
        mirror(site.address, ("kubelet",), cache, heard, {})
    assert "invoke artifacts.pin --kubernetes 9.9.9" in caught.value.hint
    assert site.requests == []


def test_auto_falls_through_every_source_and_says_why(site: Site, cache: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(cache))
    reach = Reach(unreachable={"dl.k8s.io": "switched off by the test"})
    with pytest.raises(ArtifactError, match="no source gives kubelet") as caught:
        fetch(["kubelet"], VERSIONS, "amd64", Artifacts(mirror=site.address), cache=cache, listener=heard, pins={URL: sha256(KUBELET)}, reach=reach)
    assert [problem.where for problem in caught.value.problems] == ["kubelet from mirror", "kubelet from release", "kubelet from gomod"]
    assert "HTTP 404" in caught.value.problems[0].what
    assert "dl.k8s.io does not answer (switched off by the test)" in caught.value.problems[1].what
    assert "go is not installed" in caught.value.problems[2].what
    assert "Install Go" in caught.value.hint
    assert any(note.startswith("artifacts: not from mirror: kubelet: ") for note in heard.notes)


def test_two_runs_at_once_download_once(site: Site, cache: Path, heard: Heard) -> None:
    site.files[PATH] = KUBELET
    runs = [threading.Thread(target=mirror, args=(site.address, ("kubelet",), cache, heard, {URL: sha256(KUBELET)})) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert site.paths() == [PATH]


@pytest.mark.parametrize(
    ("name", "version", "arch", "source", "says"),
    [
        ("kubeadm", "1.36.3", "amd64", "auto", "no binary is called «kubeadm»"),
        ("kubelet", "1.36", "amd64", "auto", "«1.36» is not a version"),
        ("kubelet", "../../x", "amd64", "auto", "is not a version"),
        ("kubelet", "1.36.3", "mips", "auto", "no binaries are known for «mips»"),
        ("kubelet", "1.36.3", "amd64", "mirror", "needs the mirror's directory"),
    ],
)
def test_refuses_senseless_wishes(name: str, version: str, arch: str, source: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fetch([name], {"kubernetes": version}, arch, Artifacts(source=ArtifactSource(source)))


def test_pins_are_taken_kept_and_compared(site: Site, tmp_path: Path) -> None:
    site.files[PATH + ".sha256"] = sha256(KUBELET).value.encode()
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"):
        site.files[PATH.replace("kubelet", name) + ".sha256"] = sha256(name.encode()).value.encode() + b"\n"
    taken = pins.take("kubernetes", "9.9.9", ["amd64"], known={}, reach=Reach(), base=site.address)
    assert taken[URL] == sha256(KUBELET)
    assert len(taken) == 6
    assert pins.load(tmp_path / "pins.yml") == {}
    pins.save(tmp_path / "pins.yml", taken)
    assert "trusted on first use" in (tmp_path / "pins.yml").read_text()
    assert pins.load(tmp_path / "pins.yml") == taken
    site.files[PATH + ".sha256"] = sha256(b"other").value.encode()
    with pytest.raises(ChecksumError, match="pinned as"):
        pins.take("kubernetes", "9.9.9", ["amd64"], known=taken, reach=Reach(), base=site.address)


def test_pins_are_found_in_lists_of_checksums(site: Site) -> None:
    (file,) = downloads_of("runc")
    sums = f"{sha256(b'arm').value}  runc.arm64\n{sha256(b'amd').value}  runc.amd64\n"
    site.files["/" + file.path("9.9.9", "amd64").replace("runc.amd64", "runc.sha256sum")] = sums.encode()
    taken = pins.take("runc", "9.9.9", ["amd64"], known={}, reach=Reach(), base=site.address)
    assert taken == {file.url("9.9.9", "amd64"): sha256(b"amd")}


def test_what_the_catalog_knows_is_not_pinned(site: Site) -> None:
    assert pins.take("runc", "1.4.3", ["amd64", "arm64"], known={}, reach=Reach(), base=site.address) == {}
    assert site.requests == []


@pytest.mark.parametrize(
    ("base", "says"),
    [("http://mirror.example", "over https only"), ("{site}", "HTTP 404"), ("http://127.0.0.1:9", "does not answer")],
)
def test_pins_are_refused_from_doubtful_places(site: Site, base: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        pins.take("kubernetes", "9.9.9", ["amd64"], known={}, reach=Reach(), base=base.format(site=site.address))


def test_a_login_page_is_no_checksum(site: Site) -> None:
    (file,) = downloads_of("runc")
    site.files["/" + file.path("9.9.9", "amd64").replace("runc.amd64", "runc.sha256sum")] = b"<html>log in</html>"
    with pytest.raises(ArtifactError, match="checksum"):
        pins.take("runc", "9.9.9", ["amd64"], known={}, reach=Reach(), base=site.address)


@pytest.mark.parametrize("text", ["- a list", "x: md5:1", "a: b: c", "\tx"])
def test_a_broken_file_of_pins_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pins.yml").write_text(text)
    with pytest.raises(InventoryError, match=r"pins\.yml"):
        pins.load(tmp_path / "pins.yml")
