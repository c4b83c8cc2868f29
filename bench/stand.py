"""What a contestant gets and gives: where the hosts are, a folder of its own, and the command that does the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Place
from bench.works import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """*places*: the hosts with the ports to use (the servers' own, or the proxy's); *folder* keeps the contestant's files."""

    places: tuple[Place, ...]
    key: Path
    known_hosts: Path
    folder: Path

    def file(self, name: str, text: str) -> Path:
        """Write *text* to *name* in the folder, and give its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def program(self, work: Work) -> Path:
        """The work's binary on this machine; written once for each version."""
        assert work.program is not None
        path = self.folder.parent / f"{work.id}-{work.program.version}.bin"
        if not path.exists():
            path.write_bytes(work.program.content())
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The command that does a work. *facts* finds in its output how many facts it has of each host."""

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    facts: Callable[[str], Mapping[str, int]] = lambda output: {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A tool. *job* writes what it needs into the stand's folder; *works* are those that it can do."""

    name: str
    title: str
    job: Callable[[Stand, Work], Job]
    peer: bool = True  # lives in the peers' venv
    works: tuple[str, ...] = ("W1", "W2", "W3", "W4", "W5")
