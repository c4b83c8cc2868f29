"""Room for what is installed and for what daemons write, summed up per filesystem: several of our directories may share one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.survey import Room
from kbootstrap.plan.checks.finding import Context, Finding, Seen

# MB without which it fails at once, and MB with which it lives a while.
NEEDED: Final = {
    paths.ETCD_DATA: (256, 2048),
    paths.CONTAINERD_DATA: (512, 2048),
    "/var/lib/kubelet": (128, 512),
    paths.STATE: (512, 640),  # every binary, on its way to its place
    paths.BIN: (512, 640),
    paths.CNI_BIN: (32, 32),
    paths.KUBERNETES: (1, 1),
    paths.UNITS: (1, 1),
    "/var/log": (32, 256),
    "/tmp": (8, 32),  # noqa: S108  the host's, not ours
    paths.RUN: (8, 32),
}
INSTALLED: Final = (32, 128)  # of each filesystem, once everything lies in its place


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        on: defaultdict[str, list[Room]] = defaultdict(list)
        for room in seen.survey.rooms:
            if seen.host.is_master or room.path != paths.ETCD_DATA:
                on[room.mount].append(room)
        for mount, rooms in on.items():
            yield from _judge(seen, mount, rooms)


def _judge(seen: Seen, mount: str, rooms: list[Room]) -> Iterator[Finding]:
    needs = [NEEDED[room.path] for room in rooms]
    refused_mb, warned_mb = INSTALLED if seen.installed else (sum(least for least, _ in needs), sum(good for _, good in needs))
    free_mb = min(room.free_kb for room in rooms) // 1024
    if free_mb < warned_mb:
        wanted_mb = refused_mb if free_mb < refused_mb else warned_mb
        what = f"{mount} has {free_mb} MB left, want {wanted_mb} MB for {', '.join(room.path for room in rooms)}"
        hint = f"Make room or grow it; there: du -xh --max-depth=2 {mount} | sort -h | tail."
        evidence = f"stat -f {mount}: {rooms[0].free_kb} kB available"
        yield Finding(check="disk-space", host=seen.name, what=what, hint=hint, warning=free_mb >= refused_mb, evidence=evidence)
