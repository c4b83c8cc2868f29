"""Whether a work was done: the hosts' folders are looked at from outside, whatever the tool said."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.servers import Place
from bench.stand import Job
from bench.works import Work

FACTS: Final = 20
_TRACES: Final = ("opt", "etc/kbootstrap-roles", "etc/kubernetes", "etc/containerd", "etc/cni", "etc/sysctl.d", "etc/modules-load.d", "etc/systemd",
                  "var/lib/kbootstrap", "var/lib/kbootstrap-roles", "run/kbootstrap", "root", "tmp")  # fmt: skip


def lacks(work: Work, job: Job, places: tuple[Place, ...], output: str) -> list[str]:
    """What is not as it should be, a line each; empty: the work was done."""
    if work.facts is not None:
        counts = job.facts(output)
        return [f"{place.name}: {counts.get(place.name, 0)} facts" for place in places if counts.get(place.name, 0) < FACTS]
    return [line for place in places for line in _of(work, place)]


def _of(work: Work, place: Place) -> Iterator[str]:
    for path, mode in work.directories:
        yield from _mode(place, path, mode, folder=True)
    for path, (content, mode) in work.contents(place.name).items():
        file = place.root / path.lstrip("/")
        if not file.is_file() or file.read_bytes() != content:
            yield f"{place.name}: {path} {'differs' if file.exists() else 'is not there'}"
        else:
            yield from _mode(place, path, mode, folder=False)


def _mode(place: Place, path: str, mode: int, *, folder: bool) -> Iterator[str]:
    there = place.root / path.lstrip("/")
    if not there.exists() or there.is_dir() != folder:
        yield f"{place.name}: {path} is not there"
    elif stat.S_IMODE(there.stat().st_mode) != mode:
        yield f"{place.name}: {path} has mode {stat.S_IMODE(there.stat().st_mode):04o}, want {mode:04o}"


def clean(places: tuple[Place, ...]) -> None:
    """Hosts as they were before any work, and before any tool kept something there."""
    for place in places:
        for trace in _TRACES:
            folder = place.root / trace
            for child in folder.iterdir() if folder.is_dir() else ():
                _remove(child)
        for trace in ("etc/kbootstrap-roles", "etc/kubernetes", "etc/containerd", "etc/cni", "etc/sysctl.d", "etc/modules-load.d"):
            shutil.rmtree(place.root / trace, ignore_errors=True)
        (place.root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
