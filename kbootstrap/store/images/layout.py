"""OCI images as tars, byte for byte the same whenever and wherever they are packed: no clock, no owner, no compression level is involved."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Content named by its sha256; in memory (*content*) or in a file (*path*)."""

    sha256: str
    size: int
    content: bytes = b""
    path: Path | None = None

    @property
    def digest(self) -> str:
        return f"sha256:{self.sha256}"


def blob_of(content: bytes) -> Blob:
    """Bytes as a blob."""
    return Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content), content=content)


def blob_at(path: Path) -> Blob:
    """A file as a blob; hashed now."""
    with path.open("rb") as file:
        return Blob(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size, path=path)


def pack_binary(binary: Path, target: Path, *, name: str, ref: str, arch: str, user: str) -> str:
    """Pack one static executable as the image *ref*: ``/<name>`` is the whole root and the entry point. Returns the manifest's digest."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".layer.") as folder:
        layer_path = Path(folder) / "layer.tar"
        with tarfile.open(layer_path, "w", format=tarfile.USTAR_FORMAT) as tar, binary.open("rb") as file:
            tar.addfile(_entry(name, binary.stat().st_size, 0o755), file)
        layer = blob_at(layer_path)
        config = blob_of(_json(_config(name, arch, user, layer)))
        manifest = blob_of(
            _json({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": [descriptor(LAYER, layer)]})
        )
        return write(target, manifest, [config, layer], media_type=MANIFEST, ref=ref, arch=arch)


def write(target: Path, manifest: Blob, blobs: Sequence[Blob], *, media_type: str, ref: str, arch: str) -> str:
    """Write an OCI image layout with one manifest, known to containerd as *ref*, as the tar *target*. Returns the manifest's digest."""
    annotations = {"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref.rpartition(":")[2]}
    entry = {**descriptor(media_type, manifest), "platform": {"architecture": arch, "os": "linux"}, "annotations": annotations}
    index = blob_of(_json({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}))
    parts = {"oci-layout": blob_of(b'{"imageLayoutVersion":"1.0.0"}'), "index.json": index}
    parts |= {f"blobs/sha256/{blob.sha256}": blob for blob in sorted((manifest, *blobs), key=lambda blob: blob.sha256)}
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, blob in parts.items():
            with blob.path.open("rb") if blob.path else io.BytesIO(blob.content) as file:
                tar.addfile(_entry(name, blob.size, 0o644), file)
    return manifest.digest


def descriptor(media_type: str, blob: Blob) -> dict[str, Any]:
    """How one OCI document points to another."""
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _config(name: str, arch: str, user: str, layer: Blob) -> dict[str, Any]:
    return {
        "created": _EPOCH,
        "architecture": arch,
        "os": "linux",
        "config": {"User": user, "Entrypoint": [f"/{name}"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": _EPOCH, "created_by": "kbootstrap"}],
    }


def _entry(name: str, size: int, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, mode
    return entry


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
