"""Blobs that travel compressed: by what the host unpacks and what its line carries; what arrives is what was sent, or is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine import push
from kbootstrap.engine.push import Push
from kbootstrap.errors import ApplyError
from kbootstrap.model.events import Progress, silent
from kbootstrap.model.resource import Blob
from kbootstrap.remote.connection import Running
from kbootstrap.remote.local import LocalConnection
from kbootstrap.store import packing
from kbootstrap.store.packing import Form
from tests.local.resources.machine import Machine

LARGE = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest().encode() for n in range(40_000))  # 2.5 MB of hex: half of it is air

zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="the operator has no zstd: nothing travels so")


class Counting(LocalConnection):
    """Counts what is sent behind the program."""

    sent = 0

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        def counted() -> Iterator[bytes | memoryview]:
            for part in payload:
                self.sent += len(part)
                yield part

        return super().run(program, payload=counted(), deadline_s=deadline_s, idle_s=idle_s)


def a_blob(folder: Path, content: bytes, name: str = "tool") -> Blob:
    path = folder / name
    path.write_bytes(content)
    return Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content), path=path)


@pytest.fixture(autouse=True)
def own_cache(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def sent(blobs: list[Blob], *, unpacks: tuple[str, ...]) -> int:
    """Bytes on the way; every blob lies verified in the store afterwards."""
    connection = Counting()
    try:
        pushing = Push(connection, blobs, silent, unpacks=unpacks).start()
        for blob in blobs:
            pushing.wait(blob.sha256)
            lying = Path(paths.BLOBS, blob.sha256)
            assert hashlib.sha256(lying.read_bytes()).hexdigest() == blob.sha256
            lying.unlink()
        return connection.sent
    finally:
        connection.close()


def kept() -> list[str]:
    return sorted(path.name for path in packing.folder().glob("*") if path.suffix != ".lock") if packing.folder().exists() else []


@zstd
def test_compressed_once_and_sent_so_to_whoever_unpacks_it(tmp_path: Path) -> None:
    blob, small = a_blob(tmp_path, LARGE), a_blob(tmp_path, b"small", "small")
    assert sent([blob, small], unpacks=("zstd", "gzip")) < 0.6 * blob.size
    assert kept() == [f"{blob.sha256}.zstd"]
    made = (packing.folder() / f"{blob.sha256}.zstd").stat().st_ino
    assert sent([small, blob], unpacks=("zstd",)) < 0.6 * blob.size
    assert (packing.folder() / f"{blob.sha256}.zstd").stat().st_ino == made
    assert blob.size < sent([blob], unpacks=()) < blob.size + 50  # a host without either gets it as it is


def test_gzip_only_behind_a_slow_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = a_blob(tmp_path, LARGE), a_blob(tmp_path, LARGE[::-1], "other")
    monkeypatch.setattr(push, "KNOWN_BYTES", 1 << 20)
    monkeypatch.setattr(packing, "SLOW_BYTES_PER_S", 1)
    assert sent([first, second], unpacks=("gzip",)) > first.size + second.size
    monkeypatch.setattr(packing, "SLOW_BYTES_PER_S", 10**12)
    assert sent([first, second], unpacks=("gzip",)) < first.size + 0.6 * second.size  # the first tells what the line carries
    assert kept() == [f"{second.sha256}.gzip"]


@zstd
@pytest.mark.parametrize("damage", [b"no zstd at all", None])
def test_what_was_packed_wrongly_is_refused_and_packed_anew(tmp_path: Path, damage: bytes | None) -> None:
    blob = a_blob(tmp_path, LARGE)
    file = packing.packed(blob, Form.ZSTD)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(ApplyError, match="upload of"):
        sent([blob], unpacks=("zstd",))
    assert not list(Path(paths.BLOBS).glob("*"))
    assert sent([blob], unpacks=("zstd",)) < 0.6 * blob.size
    assert file.read_bytes() == whole
    file.write_bytes(b"")  # as a power cut leaves it
    sent([blob], unpacks=("zstd",))


@zstd
def test_progress_counts_what_the_host_gets(tmp_path: Path) -> None:
    blob = a_blob(tmp_path, LARGE)
    seen: list[Any] = []
    with LocalConnection() as connection:
        Push(connection, [blob], seen.append, unpacks=("zstd",)).start().wait(blob.sha256)
    progress = [event for event in seen if isinstance(event, Progress)]
    assert progress[-1].done == progress[-1].total == blob.size


def test_what_nobody_sent_for_months_goes(tmp_path: Path) -> None:
    old, new = a_blob(tmp_path, LARGE), a_blob(tmp_path, LARGE[::-1], "other")
    os.utime(packing.packed(old, Form.GZIP), (0, 0))
    (packing.folder() / ".new-killed").write_bytes(b"half")
    os.utime(packing.folder() / ".new-killed", (0, 0))
    packing.packed(new, Form.GZIP)
    assert kept() == [f"{new.sha256}.gzip"]
    assert packing.folder().stat().st_mode & 0o777 == 0o700
