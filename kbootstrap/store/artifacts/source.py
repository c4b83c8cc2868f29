"""What a source of binaries is: the shape that official files, mirrors and Go modules share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from kbootstrap.errors import LockError, Problem
from kbootstrap.model.artifact import Artifact
from kbootstrap.model.cluster import ArtifactSource
from kbootstrap.model.events import Listener, Note
from kbootstrap.store.artifacts import records

LOCK_TIMEOUT_S = 3600.0  # a cold build of Kubernetes takes minutes; whoever waits is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One binary of one version for one architecture."""

    name: str
    component: str
    version: str
    arch: str

    @property
    def folder(self) -> str:
        return f"{self.component}-{self.version}/{self.arch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a source gave, and for each binary that it could not give the reason (``where`` is the binary's name)."""

    artifacts: Mapping[str, Artifact]
    problems: tuple[Problem, ...] = ()


class Source(Protocol):
    """``cached`` answers at once and without network; ``obtain`` may take minutes. Both raise ChecksumError, never give unverified content."""

    @property
    def kind(self) -> ArtifactSource: ...

    def cached(self, want: Want) -> Artifact | None: ...

    def obtain(self, wants: Sequence[Want]) -> Outcome: ...


def artifact(want: Want, path: Path, record: records.Record, kind: ArtifactSource, trust: str) -> Artifact:
    """The value that stands for a cached file whose *record* was just checked; *trust* is why its source's files are believed."""
    return Artifact(
        name=want.name,
        version=want.version,
        arch=want.arch,
        path=path,
        sha256=record.sha256,
        size=record.size,
        source=kind,
        trust=record.trust(trust),
    )


@contextmanager
def locked(path: Path, listener: Listener) -> Iterator[None]:
    """Hold the cache entry *path* for this run, so that two runs do not obtain the same thing twice; the second one waits and says so."""
    lock = FileLock(records.private_directory(path.parent) / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        listener(Note(text=f"artifacts: another run is at work on {path}; waiting for it"))
        try:
            lock.acquire(timeout=LOCK_TIMEOUT_S)
        except Timeout:
            raise LockError(f"{path} is still held by another run", hint="End that run, then repeat the command.") from None
    try:
        yield
    finally:
        lock.release()
