"""Blobs as they travel: each is compressed once, ever, and kept in the cache under the digest of its own bytes.

zstd (by the operator's program of that name) unpacks at 1 GB per CPU second and saves more in SSH than it costs, so it is used wherever both
sides have it. gzip unpacks at 170 MB per CPU second, which only a slow line is worth.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Collection
from contextlib import suppress
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO, Final

from filelock import FileLock
from platformdirs import user_cache_path

from kbootstrap.errors import ArtifactError
from kbootstrap.model.resource import Blob

SMALL_BYTES: Final = 1_000_000  # as it is: not worth a process on either side
SLOW_BYTES_PER_S: Final = 6_000_000  # 50 Mbit/s, or 1 Gbit/s that 20 hosts share: below it a line is the limit, above it may be a busy host's CPU
UNUSED_S: Final = 60 * 86400  # what was not sent for so long is of a version that nobody installs any more
_PIECE: Final = 1 << 20
_LEVEL: Final = {"zstd": 3, "gzip": 3}  # of a 60 MB Go program: 27 % after 0.27 CPU s, 32 % after 0.8; higher levels cost four times that


class Form(StrEnum):
    """How a blob travels; the host's program of that name unpacks it."""

    RAW = "raw"
    ZSTD = "zstd"
    GZIP = "gzip"


def folder() -> Path:
    """``~/.cache/kbootstrap/packed``, or what the platform uses in its place."""
    return user_cache_path("kbootstrap") / "packed"


def form(blob: Blob, unpacks: Collection[str], *, bytes_per_s: float = 0.0) -> Form:
    """The form that is cheapest for a host that has the programs *unpacks*; *bytes_per_s*: what its line was seen to carry, 0 if unknown."""
    if blob.size < SMALL_BYTES:
        return Form.RAW
    if Form.ZSTD in unpacks and _zstd():
        return Form.ZSTD
    return Form.GZIP if Form.GZIP in unpacks and 0 < bytes_per_s < SLOW_BYTES_PER_S else Form.RAW


def packed(blob: Blob, form_: Form) -> Path:
    """The file that holds *blob* in this form, made now if it is not there. ArtifactError if it cannot be made."""
    path = _path(blob, form_)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), mode=0o600):  # all hosts want it at the same time
        if not path.exists() or not path.stat().st_size:  # empty: a power cut came before its bytes lay on the disk
            _tidy(path.parent)
            _make(blob, form_, path)
    os.utime(path)
    return path


def distrust(blob: Blob, form_: Form) -> None:
    """Forget a packed file that did not give back what was packed: it was damaged since, or never wholly lay on the disk."""
    if form_ is not Form.RAW:
        _path(blob, form_).unlink(missing_ok=True)


def _path(blob: Blob, form_: Form) -> Path:
    return folder() / f"{blob.sha256}.{form_}"


def _make(blob: Blob, form_: Form, path: Path) -> None:
    number, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(number, "wb") as new:
            (_by_zstd if form_ is Form.ZSTD else _by_zlib)(blob.path, new)
        Path(name).replace(path)
    except OSError as error:
        raise ArtifactError(f"{blob.path} cannot be compressed into {path}: {error.strerror or error}") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _by_zstd(source: Path, new: IO[bytes]) -> None:
    argv = [_zstd(), "-q", f"-{_LEVEL['zstd']}", "-c", "--", str(source)]
    done = subprocess.run(argv, stdout=new, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.decode(errors="replace").strip()[-200:])


def _by_zlib(source: Path, new: IO[bytes]) -> None:
    stream = zlib.compressobj(_LEVEL["gzip"], wbits=31)
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            new.write(stream.compress(piece))
    new.write(stream.flush())


@cache
def _zstd() -> str:
    """The operator's zstd, "" if there is none."""
    return shutil.which("zstd") or ""


def _tidy(place: Path) -> None:
    """Remove what was not sent for long, and what a killed run left half made."""
    for path in place.iterdir():
        with suppress(FileNotFoundError):  # another run tidies too
            if path.stat().st_mtime < time.time() - (3600 if path.name.startswith(".new-") else UNUSED_S):
                path.unlink()
