"""Images: packed alike every time, pulled by digest from an imitated registry, and their programs really run."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kbootstrap.catalog.releases import ImageRow, RegistryImage, images
from kbootstrap.errors import ArtifactError, ChecksumError, UnavailableError, UsageError
from kbootstrap.model.artifact import Image
from kbootstrap.model.cluster import Artifacts, ArtifactSource
from kbootstrap.store.artifacts import Reach, records
from kbootstrap.store.images import bundle, layout, program, pull_refs

from .conftest import Heard, Site

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
BUILT = Artifacts(source=ArtifactSource.GOMOD)
PULLED = Artifacts(source=ArtifactSource.RELEASE)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: content.read() for member in tar if (content := tar.extractfile(member))}


def of(parts: dict[str, bytes], digest: str) -> bytes:
    content = parts[f"blobs/sha256/{digest.removeprefix('sha256:')}"]
    assert hashlib.sha256(content).hexdigest() == digest.removeprefix("sha256:")
    return content


def test_packing_is_the_same_whenever_it_is_done(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF" + bytes(1000))
    first = layout.pack_binary(binary, tmp_path / "1.tar", name="pause", ref="x.local/pause:1", arch="amd64", user="1:1")
    binary.touch()
    binary.chmod(0o700)
    again = layout.pack_binary(binary, tmp_path / "2.tar", name="pause", ref="x.local/pause:1", arch="amd64", user="1:1")
    assert first == again
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_a_packed_image_is_one_executable_run_as_nobody(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF")
    digest = layout.pack_binary(binary, tmp_path / "image.tar", name="pause", ref="x.local/pause:1", arch="arm64", user="65535:65535")
    parts = members(tmp_path / "image.tar")
    (entry,) = json.loads(parts["index.json"])["manifests"]
    assert entry["digest"] == digest
    assert entry["annotations"]["io.containerd.image.name"] == "x.local/pause:1"
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
    manifest = json.loads(of(parts, digest))
    config = json.loads(of(parts, manifest["config"]["digest"]))
    assert config["config"] == {"User": "65535:65535", "Entrypoint": ["/pause"], "WorkingDir": "/"}
    layer = of(parts, manifest["layers"][0]["digest"])
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        (only,) = tar.getmembers()
    assert (only.name, only.mode, only.uid, only.mtime, only.size) == ("pause", 0o755, 0, 0, 4)


@needs_go
def test_builds_pause_once_and_packs_it(cache: Path, heard: Heard) -> None:
    first = bundle(["pause"], {}, "amd64", BUILT, cache=cache, listener=heard)["pause"]
    assert first.ref == "kbootstrap.local/pause:3.10.1"
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.size == first.path.stat().st_size < 5_000_000
    assert json.loads(members(first.path)["index.json"])["manifests"][0]["digest"] == first.digest
    heard.events.clear()
    assert bundle(["pause"], {}, "amd64", BUILT, cache=cache, listener=heard)["pause"] == first
    assert heard.events == []


def loaded(path: Path) -> None:
    """*path* as if it had come with a bundle."""
    record = records.read(path)
    assert record is not None
    records.admit(path, path, origin=record.origin, extra={**record.extra, records.BUNDLE: "0" * 64})


@needs_go
def test_an_image_is_as_good_as_the_program_in_it(cache: Path, heard: Heard) -> None:
    got = bundle(["pause"], {}, "amd64", BUILT, cache=cache, listener=heard)["pause"]
    assert got.trust == "built here from packaged source"
    inner = program.cached(images()["pause"], "3.10.1", "amd64", cache=cache, listener=heard)
    assert inner is not None
    loaded(inner.path)
    assert bundle(["pause"], {}, "amd64", BUILT, cache=cache, listener=heard)["pause"].trust == "from a bundle"


@pytest.fixture
def running(cache: Path, heard: Heard) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(10)


@needs_go
def test_pause_waits_reaps_and_ends_on_sigterm(cache: Path, heard: Heard, running: list[subprocess.Popen[bytes]]) -> None:
    binary = program.build(images()["pause"], "3.10.1", "amd64", cache=cache, listener=heard)
    # a shell that leaves a child behind and becomes pause: the child's zombie must go
    shell = subprocess.Popen(["sh", "-c", f"sleep 0.2 & exec {binary.path}"])
    running.append(shell)
    children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
    deadline = time.monotonic() + 10
    while children.read_text().strip() or Path(f"/proc/{shell.pid}/comm").read_text().strip() != "pause":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert shell.poll() is None
    shell.send_signal(signal.SIGTERM)
    assert shell.wait(10) == 0


@needs_go
def test_the_test_server_answers_and_asks_others(cache: Path, heard: Heard, running: list[subprocess.Popen[bytes]]) -> None:
    binary = program.build(images()["testserver"], "2.53", "amd64", cache=cache, listener=heard)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running.append(subprocess.Popen([binary.path, "netexec", f"--http-port={port}"]))
    base = f"http://127.0.0.1:{port}"
    assert _when_up(f"{base}/healthz") == "ok"
    assert httpx.get(f"{base}/hostname").text == socket.gethostname()
    assert httpx.get(f"{base}/clientip").text.startswith("127.0.0.1:")
    assert httpx.get(f"{base}/echo", params={"msg": "hello"}).text == "hello"
    asked = {"host": "localhost", "port": str(port), "protocol": "http", "request": "echo?msg=there", "tries": "2"}
    assert httpx.get(f"{base}/dial", params=asked).json() == {"responses": ["there", "there"]}
    wrong = httpx.get(f"{base}/dial", params={**asked, "request": "nothing", "tries": "1"}).json()
    assert "404" in wrong["errors"][0]
    nobody = httpx.get(f"{base}/dial", params={**asked, "port": "9", "tries": "1"}).json()
    assert "refused" in nobody["errors"][0]


def _when_up(url: str) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            return httpx.get(url).text
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _put(site: Site, kind: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    site.files[f"/v2/test/pause/{kind}/{digest}"] = content
    return {"digest": digest, "size": len(content), "mediaType": layout.LAYER}


@pytest.fixture
def registry(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An imitated registry that wants a token and has «pause» for two architectures; the catalog points to it."""
    site.token = "let-me-in"  # noqa: S105  the site's own, see conftest
    rows = []
    for arch in ("amd64", "arm64"):
        manifest = {
            "schemaVersion": 2,
            "mediaType": layout.MANIFEST,
            "config": _put(site, "blobs", json.dumps({"architecture": arch, "os": "linux"}).encode()),
            "layers": [_put(site, "blobs", f"layer of {arch}".encode() * 1000)],
        }
        entry = _put(site, "manifests", json.dumps(manifest).encode())
        rows.append({**entry, "mediaType": layout.MANIFEST, "platform": {"architecture": arch, "os": "linux"}})
    index = _put(site, "manifests", json.dumps({"schemaVersion": 2, "manifests": rows}).encode())
    published = RegistryImage(repository=f"{site.address.removeprefix('http://')}/test/pause", tag="1", digest=index["digest"])
    row = ImageRow(name="pause", version="1.0.0", binary="pause", source="pause.go.txt", registry={"1.0.0": published})
    monkeypatch.setattr("kbootstrap.store.images.obtain.images", lambda: {"pause": row})
    return site


def pull(cache: Path, heard: Heard, artifacts: Artifacts = PULLED, arch: str = "amd64") -> Image:
    return bundle(["pause"], {}, arch, artifacts, cache=cache, listener=heard)["pause"]


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_pulls_by_digest_the_image_of_the_architecture(registry: Site, cache: Path, heard: Heard, arch: str) -> None:
    got = pull(cache, heard, arch=arch)
    parts = members(got.path)
    (entry,) = json.loads(parts["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == got.ref == "kbootstrap.local/pause:1.0.0"
    manifest = json.loads(of(parts, got.digest))
    assert of(parts, manifest["layers"][0]["digest"]) == f"layer of {arch}".encode() * 1000
    assert json.loads(of(parts, manifest["config"]["digest"]))["architecture"] == arch
    asked = len(registry.requests)
    assert pull(cache, heard, arch=arch) == got
    assert got.trust == "published digest"
    loaded(got.path)
    assert pull(cache, heard, arch=arch).trust == "from a bundle"
    assert len(registry.requests) == asked


def test_a_directory_with_the_same_paths_is_a_mirror(registry: Site, tmp_path: Path, cache: Path, heard: Heard) -> None:
    for path, content in registry.files.items():
        file = tmp_path / "mirror" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    got = pull(cache, heard, Artifacts(source=ArtifactSource.MIRROR, mirror=str(tmp_path / "mirror")))
    assert got.source is ArtifactSource.MIRROR
    assert registry.requests == []
    assert got.digest == pull(tmp_path / "other", heard).digest


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_a_flipped_bit_in_anything_is_refused(registry: Site, cache: Path, heard: Heard, kind: str) -> None:
    for path in [path for path in registry.files if f"/{kind}/" in path]:
        registry.files[path] = registry.files[path][:-1] + bytes([registry.files[path][-1] ^ 1])
    with pytest.raises(ChecksumError, match="wrong digest: expected sha256:"):
        pull(cache, heard)
    assert list(cache.rglob("*.tar")) == []


def test_a_layer_that_breaks_off_is_continued(registry: Site, cache: Path, heard: Heard) -> None:
    (layer,) = [path for path, content in registry.files.items() if content.startswith(b"layer of amd64")]
    registry.cuts[layer] = [4000]
    pull(cache, heard)
    assert (layer, "bytes=4000-") in registry.requests


def test_a_registry_without_the_image_says_so(registry: Site, cache: Path, heard: Heard) -> None:
    registry.files.clear()
    with pytest.raises(ArtifactError, match="no source gives the image pause") as caught:
        pull(cache, heard)
    assert "HTTP 404" in caught.value.problems[0].what


@needs_go
def test_auto_builds_what_the_registry_does_not_give(registry: Site, cache: Path, heard: Heard) -> None:
    registry.files.clear()
    got = pull(cache, heard, Artifacts())
    assert got.source is ArtifactSource.GOMOD
    assert any(note.startswith("images: not from release: pause: ") for note in heard.notes)
    registry.requests.clear()
    assert pull(cache, heard, Artifacts()) == got
    assert registry.requests == []


def test_a_version_without_a_digest_is_named(cache: Path, heard: Heard) -> None:
    with pytest.raises(ArtifactError, match="no source gives the image coredns") as caught:
        bundle(["coredns"], {"coredns": "1.0.0"}, "amd64", PULLED, cache=cache, listener=heard, reach=Reach())
    assert "no digest is known for the image coredns 1.0.0 (known: 1.14.7)" in caught.value.problems[0].what
    with pytest.raises(UnavailableError, match="no digest is known"):
        pull_refs(["coredns"], {"coredns": "1.0.0"})


def test_hosts_that_pull_get_references_by_digest() -> None:
    refs = pull_refs(images(), {"coredns": "1.14.7"})
    assert refs["pause"].startswith("registry.k8s.io/pause:3.10.1@sha256:")
    assert all("@sha256:" in ref for ref in refs.values())


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(UsageError, match="no image is called «nginx»"):
        bundle(["nginx"], {}, "amd64", BUILT)
