"""``etcd.timer``: two systemd units for the operator's machine, by which snapshots are taken at their time. Asks no host."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kbootstrap.errors import UsageError
from kbootstrap.render.env import Renderer
from kbootstrap.store import assets, files, operator, snapshots
from kbootstrap.store.folder import Folder

TEMPLATES: Final = "operator/etcd-snapshot"
AT: Final = "*-*-* 03:10"
KEEP: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """The files that were written; ``systemctl enable`` links them."""

    service: Path
    timer: Path


def write(folder: Folder, *, at: str = AT, keep: int = KEEP, to: Path | None = None) -> Units:
    """Put them into *folder*; what was there before stays beside them as ``.previous``. *at* is a calendar event as systemd.time(7) has it,
    *keep* and *to* are as ``etcd.snapshot`` takes them. UsageError for what the snapshot itself would refuse, every night."""
    snapshots.refuse_keep(keep)
    if (why := operator.judged_time(at)) is not None:
        raise UsageError(f"--at {at!r} is no time{why}", hint=f"A calendar event as systemd.time(7) has it: {AT!r}, hourly, 'Mon..Fri 22:00'.")
    if to is not None:
        snapshots.refuse_unfit(to, given=True)
    more = ["--to", str(to.resolve())] if to else []
    words = ["-m", "kbootstrap", "etcd.snapshot", "--cluster", folder.name, "--keep", str(keep), *more]
    user, directory = getpass.getuser(), str(Path.cwd())
    values = {"cluster": folder.name, "user": user, "directory": directory, "program": sys.executable, "arguments": words, "at": at}
    renderer = Renderer((assets.folder("templates"),))
    service, timer = (_written(folder, suffix, renderer.render(f"{TEMPLATES}.{suffix}.j2", values)) for suffix in ("service", "timer"))
    return Units(service=service, timer=timer)


def _written(folder: Folder, suffix: str, text: str) -> Path:
    path = folder.root.resolve() / f"etcd-snapshot-{folder.name}.{suffix}"
    files.write_secret(path, text.encode(), previous="" if path.exists() and path.read_text() == text else ".previous")
    return path
