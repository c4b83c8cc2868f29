"""cgroups of the hosts. Without a cgroup of its own per controller two kubelets would share ``/kubepods``.

Each host is put into ``<own cgroup>/<label>`` of every hierarchy before nspawn starts. Where the machine's PID 1 is systemd, its own tree
(and cgroup v2) is its to change: nspawn gets a scope from it there. Of cgroup v1 that scope covers only some controllers.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.errors import CommandError


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """One mounted cgroup tree: its mount point, the tool's own folder in it, and its controllers (empty for v2)."""

    mount: Path
    own: Path
    controllers: frozenset[str]

    @property
    def is_v1(self) -> bool:
        """Whether it has resource controllers of cgroup v1: not v2, nor systemd's own tree of names."""
        return bool(self.controllers) and not any("=" in name for name in self.controllers)


def parse(membership: str, mountinfo: str) -> tuple[Hierarchy, ...]:
    """Hierarchies from the texts of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``; those not mounted are left out."""
    own = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        own[frozenset(controllers.split(",")) if controllers else frozenset[str]()] = path
    found: dict[frozenset[str], Hierarchy] = {}
    for line in mountinfo.splitlines():
        head, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, mount = head.split()[3:5]
        if kind not in ("cgroup", "cgroup2"):
            continue
        mounted = frozenset(options.split(",")) if kind == "cgroup" else frozenset[str]()
        match = [group for group in own if group <= mounted and bool(group) == bool(mounted)]
        for group in match[:1]:
            place = Path(mount) / os.path.relpath(own[group], root)
            found.setdefault(group, Hierarchy(mount=Path(mount), own=place, controllers=group))
    return tuple(found.values())


def hierarchies() -> tuple[Hierarchy, ...]:
    """The hierarchies of this machine, as this process sees them."""
    return parse(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())


def has_v1() -> bool:
    """Whether resource controllers live in cgroup v1 here (then kubelet ≥ 1.35 needs to be told that this is wanted)."""
    return any(h.is_v1 for h in hierarchies())


def prepare(label: str, *, systemd: bool) -> tuple[Path, ...]:
    """Make the host's folder in every hierarchy that is not *systemd*'s; they are entered by writing a pid to their ``cgroup.procs``."""
    made = []
    for hierarchy in hierarchies():
        if systemd and not hierarchy.is_v1:
            continue
        folder = hierarchy.own / label
        if not hierarchy.controllers:
            _delegate(hierarchy.own)
        folder.mkdir(exist_ok=True)
        if "cpuset" in hierarchy.controllers:  # a new cpuset has neither, and takes no process without them
            for name in ("cpuset.cpus", "cpuset.mems"):
                (folder / name).write_text((hierarchy.own / name).read_text())
        made.append(folder)
    return tuple(made)


def _delegate(own: Path) -> None:
    """cgroup v2: hand every controller down. The kernel refuses that (busy) while processes live in *own* itself, unless it is the real root."""
    available = (own / "cgroup.controllers").read_text().split()
    control = own / "cgroup.subtree_control"
    if missing := sorted(set(available) - set(control.read_text().split())):
        try:
            control.write_text(" ".join(f"+{name}" for name in missing))
        except OSError as error:
            raise CommandError(
                f"{control}: {error.strerror}: the controllers {', '.join(missing)} cannot be handed to lab hosts",
                hint="Run on a machine whose PID 1 is systemd, or move this session into a cgroup of its own below the root.",
            ) from error


def folders(pattern: re.Pattern[str]) -> Iterator[Path]:
    """Every cgroup whose name matches *pattern*, in any hierarchy, wherever the tool lived when it made it."""
    for hierarchy in hierarchies():
        for place, names, _ in os.walk(hierarchy.mount):
            labels = [name for name in names if name.startswith("kb-")]
            names[:] = [name for name in names if name not in labels]  # no lab's cgroups lie inside another's
            yield from (Path(place) / name for name in labels if pattern.fullmatch(name.removesuffix(".scope")))


def remove(pattern: re.Pattern[str], *, timeout_s: float = 10.0) -> None:
    """Remove the matching cgroups, deepest first. Their processes must be dead; the kernel may need a moment to notice."""
    deadline = time.monotonic() + timeout_s
    while left := [folder for folder in folders(pattern) if not _remove_tree(folder)]:
        if time.monotonic() > deadline:
            raise CommandError(f"cgroups still busy: {', '.join(map(str, left))}")
        time.sleep(0.02)


def _remove_tree(folder: Path) -> bool:
    for place, _, _ in os.walk(folder, topdown=False):
        try:
            Path(place).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
