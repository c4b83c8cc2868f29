"""Inodes: images are many small files. Some filesystems do not count them (btrfs), which is no fault."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import paths
from kbootstrap.plan.checks.finding import Context, Finding

NEEDED = 500
FOR_IMAGES = 10_000


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        told = set[str]()
        for room in sorted(seen.survey.rooms, key=lambda room: room.path != paths.CONTAINERD_DATA):  # who needs most first
            wanted = FOR_IMAGES if room.path == paths.CONTAINERD_DATA and not seen.installed else NEEDED
            if not room.inodes or room.free_inodes >= wanted or room.mount in told:
                continue
            told.add(room.mount)
            what = f"{room.mount} has {room.free_inodes} inodes left, want {wanted} for {room.path}"
            hint = f"Remove small files or make the filesystem anew with more; there: du --inodes -xd2 {room.mount} | sort -n | tail."
            evidence = f"stat -f {room.mount}: {room.free_inodes} of {room.inodes} inodes free"
            yield Finding(check="disk-inodes", host=seen.name, what=what, hint=hint, warning=room.free_inodes >= NEEDED, evidence=evidence)
