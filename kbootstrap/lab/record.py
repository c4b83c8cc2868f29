"""What the lab is about to make, written before it is made: ``<cache>/lab/<name>/lab.json``.

Enough to find everything again after the tool was killed. What is not in a record is found by name (``kb-<lab>``, ``kb-<lab>-<host>``).
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import platformdirs

from kbootstrap.lab import value


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A lab's shape and places. It keeps the image it was made with, whatever a newer version of the tool would make."""

    name: str
    network: IPv4Network
    masters: int
    workers: int
    packages: tuple[str, ...]  # of its image, beside the usual ones
    image: Path
    folder: Path

    def lab(self) -> value.Lab:
        """The lab that this record describes."""
        return value.shape(
            name=self.name,
            network=self.network,
            masters=self.masters,
            workers=self.workers,
            home=home(self.name),
            image=self.image,
            folder=self.folder,
        )


def cache() -> Path:
    """Where base images and labs live: ``lab`` in the user's cache directory."""
    return Path(platformdirs.user_cache_path("kbootstrap")) / "lab"


def home(name: str) -> Path:
    """The folder of the lab *name*; not in the way of a base image, whose names have a dash."""
    return cache() / name


def labels(name: str) -> re.Pattern[str]:
    """What the labels of every host of the lab *name* look like."""
    return re.compile(rf"kb-{re.escape(name)}-[mw]\d{{1,2}}")


def load(name: str) -> Record | None:
    """The record of the lab *name*, if there is one."""
    try:
        data = json.loads((home(name) / "lab.json").read_text())
    except FileNotFoundError:
        return None
    return Record(
        name=name,
        network=IPv4Network(data["network"]),
        masters=data["masters"],
        workers=data["workers"],
        packages=tuple(data.get("packages", ())),
        image=Path(data["image"]),
        folder=Path(data["folder"]),
    )


def recorded() -> tuple[Record, ...]:
    """Every lab of this user."""
    names = sorted(path.parent.name for path in cache().glob("*/lab.json"))
    return tuple(record for name in names if (record := load(name)))


def save(record: Record) -> None:
    """Write *record*; on return it survives a crash of the machine."""
    home(record.name).mkdir(parents=True, exist_ok=True, mode=0o700)
    data = {
        "network": str(record.network),
        "masters": record.masters,
        "workers": record.workers,
        "packages": record.packages,
        "image": str(record.image),
        "folder": str(record.folder),
    }
    write_json(home(record.name) / "lab.json", data)


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace *path* atomically, durably, readable by its owner only."""
    write(path, json.dumps(data, indent=2) + "\n", mode=0o600)


def write(path: Path, content: str, *, mode: int) -> None:
    """Replace *path* atomically; it never exists with another *mode* or half its content."""
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)


def unfinished(path: Path) -> Path:
    """Where ``write`` prepares *path*; left behind if the tool is killed right then."""
    return path.with_name(f".{path.name}.new")
