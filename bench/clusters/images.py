"""kubeadm's images, packed without a daemon from the binaries that everybody here runs, under the names that kubeadm asks for."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kbootstrap.store.images.layout import CONFIG, LAYER, MANIFEST, blob_at, blob_of, descriptor, write

EPOCH = "1970-01-01T00:00:00Z"
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def pack(target: Path, ref: str, files: Mapping[str, Path], *, arch: str, entry: Sequence[str] = ()) -> Path:
    """The image *ref* of *files* (path in it → file here), as a tar for ``ctr images import``; packed once."""
    if target.exists():
        return target
    new, layer = target.with_suffix(".new"), target.with_suffix(".layer")
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
        for inside, here in files.items():
            tar.add(here, arcname=inside.lstrip("/"))
    packed = blob_at(layer)
    document = {
        "created": EPOCH,
        "architecture": arch,
        "os": "linux",
        "config": {"Entrypoint": list(entry), "Env": [f"PATH={PATH}"]},
        "rootfs": {"type": "layers", "diff_ids": [packed.digest]},
        "history": [{"created": EPOCH}],
    }
    config = blob_of(json.dumps(document).encode())
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": [descriptor(LAYER, packed)]}
    write(new, blob_of(json.dumps(manifest).encode()), [config, packed], media_type=MANIFEST, ref=ref, arch=arch)
    layer.unlink()
    new.rename(target)
    return target


def program(root: Path, name: str) -> dict[str, Path]:
    """A program of the lab's base image with the libraries that it loads: path → file."""
    done = subprocess.run(["chroot", str(root), "ldd", name], capture_output=True, text=True, check=True)
    words = [word for line in done.stdout.splitlines() for word in line.split() if word.startswith("/")]
    return {path: root / Path(path).relative_to("/") for path in (name, *words)}
