"""A restore of etcd in steps, and how far it is on a host, which the host's own folders tell.

Everything lies inside etcd's data directory, which may be a mount point and keeps its owner, mode and label: there renames are atomic.
``restore-<id>/new/member`` is the restored database; with ``restore-<id>/old`` the member's former data goes there; ``before-<time>-<id>`` is that
folder once all is proven, and holds the former data until somebody deletes it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.snapshot import Snapshot
from kbootstrap.render import etcd

BUMP: Final = 1_000_000_000  # more than anybody writes between a snapshot and its restore: no revision that a client has seen comes again
MARGIN_BYTES: Final = 128 << 20
DATA: Final = paths.ETCD_DATA


class Phase(StrEnum):
    """How far a restore is on a host."""

    NOTHING = "nothing"
    STAGED = "staged"  # the new data lies beside the old
    SWAPPING = "swapping"  # begun: it must be finished
    SWAPPED = "swapped"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """What is restored: the snapshot's sha256 and size, and today's masters. *id* names both, so nothing of another restore is taken for this one."""

    spec: ClusterSpec
    sha256: str
    size: int

    @property
    def id(self) -> str:
        return identity(self.spec, self.sha256)

    @property
    def work(self) -> str:
        return f"{DATA}/restore-{self.id}"

    @property
    def blob(self) -> str:
        return f"{paths.BLOBS}/{self.sha256}"


def identity(spec: ClusterSpec, sha256: str) -> str:
    """Of a restore of the snapshot *sha256* to the masters of *spec*."""
    return hashlib.sha256(f"{sha256} {etcd.initial_cluster(spec)}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A master as a restore finds it. *others*: restores of something else that were begun there; *done*: when this one was finished, if it was."""

    host: str
    phase: Phase
    member: bool
    lacks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    uploaded: bool = False
    data_free: int = 0
    blobs_free: int = 0
    api_active: bool = False
    etcdutl: str = ""


def seen(host: str, output: str) -> Seen:
    """What ``look``'s text printed."""
    rows = [line.partition(" ")[::2] for line in output.splitlines()]
    words = {word for word, _ in rows}
    values: Mapping[str, str] = dict(rows)
    done = tuple(rest for word, rest in rows if word == "done")
    return Seen(
        host=host,
        phase=_phase(words),
        member="member" in words,
        lacks=tuple(rest for word, rest in rows if word == "lacks"),
        others=tuple(rest for word, rest in rows if word == "other"),
        done=done,
        uploaded="uploaded" in words,
        data_free=int(values.get("data_free") or 0) * 1024,
        blobs_free=int(values.get("blobs_free") or 0) * 1024,
        api_active="api" in words,
        etcdutl=values.get("etcdutl", ""),
    )


def _phase(words: set[str]) -> Phase:
    if "old" in words:
        return Phase.SWAPPING if "new" in words else Phase.SWAPPED
    if "new" in words:
        return Phase.STAGED
    return Phase.DONE if "done" in words else Phase.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a member holds."""

    revision: int
    keys: int
    hash: str


def counted(output: str) -> Counted:
    """From etcdctl's fields and its JSON of the hash. ValueError if they are not there (etcdctl counts in no other format)."""
    fields = dict(re.findall(r'^"(Revision|Count)" : (\d+)$', output, re.MULTILINE))
    found = re.search(r'"hash":(\d+)', output)
    if fields.keys() != {"Revision", "Count"} or found is None:
        raise ValueError(f"not what etcdctl says: {output[-200:]}")
    return Counted(revision=int(fields["Revision"]), keys=int(fields["Count"]), hash=found[1])


def complete(found: Counted, snapshot: Snapshot, *, alone: bool) -> bool:
    """Whether all of *snapshot* is there; *alone*: nobody has written since, so nothing more is, either.

    Raising the revision writes a record without a name, which etcdutl counts in every later snapshot, and which nobody can ask for.
    """
    nameless = snapshot.revision >= BUMP
    keys = {snapshot.keys, snapshot.keys - nameless}
    return found.revision >= snapshot.revision + BUMP and (found.keys in keys or not alone)


def begun(found: Iterable[Seen]) -> bool:
    """Whether it passed the point behind which it can only be finished."""
    return any(each.phase in (Phase.SWAPPING, Phase.SWAPPED) for each in found)


def swapped(found: Collection[Seen]) -> bool:
    """Whether it passed it everywhere."""
    return begun(found) and all(each.phase in (Phase.SWAPPED, Phase.DONE) for each in found)


def refusals(restore: Restore, found: Seen, sidecar: Snapshot | None) -> list[tuple[str, str]]:
    """(what, hint) for everything that keeps *restore* from *found*'s host."""
    wrong = [
        (f"lacks {what}", "invoke cluster.up installs it, though without a quorum it ends at etcd. Then run this again.") for what in found.lacks
    ]
    if found.phase in (Phase.NOTHING, Phase.DONE):
        if found.data_free < restore.size + MARGIN_BYTES:
            wrong.append(
                (f"{DATA} has {found.data_free >> 20} MiB free, {(restore.size + MARGIN_BYTES) >> 20} are needed", "Make room; the old data stays.")
            )
        if not found.uploaded and found.blobs_free < restore.size + MARGIN_BYTES:
            wrong.append((f"{paths.BLOBS} has {found.blobs_free >> 20} MiB free, the snapshot has {restore.size >> 20}", "Make room there."))
    if sidecar is not None and found.etcdutl and _minor(sidecar.etcd) > _minor(found.etcdutl):
        wrong.append((f"its etcd is {found.etcdutl}, the snapshot is of {sidecar.etcd}", "Write versions: {etcd: …} of the snapshot, or newer."))
    return wrong


def _minor(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        return ()
