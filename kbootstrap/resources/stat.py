"""What ``stat`` and ``sha256sum`` tell of paths; shared by the kinds that lie in the file system."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kbootstrap.resources.difference import sh

FORMAT = "%F|%a|%U:%G|%n"
_SUM = re.compile(r"^([0-9a-f]{64}) [ *](.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """A path as found; *type* is stat's ``%F`` in the C locale, *sha256* only of regular files."""

    type: str
    mode: int
    owner: str
    sha256: str = ""
    content: bytes | None = None  # only after the second read, for diffs

    @property
    def is_file(self) -> bool:
        return self.type.startswith("regular")


def probe(paths: Sequence[str], *, hashes: bool) -> str:
    """Both commands go on past what is missing; that a path is not in the answer is the answer."""
    text = sh("stat", "-c", FORMAT, "--", *paths) + " 2>/dev/null\n"
    return text + (sh("sha256sum", "--", *paths) + " 2>/dev/null\n" if hashes else "") + "true\n"


def parse(output: str) -> dict[str, Stat]:
    """Path → Stat."""
    sums: dict[str, str] = {}
    stats: dict[str, tuple[str, str, str]] = {}
    for line in output.splitlines():
        if match := _SUM.match(line):
            sums[match[2]] = match[1]
        elif line.count("|") >= 3:
            kind, mode, owner, path = line.split("|", 3)
            stats[path] = (kind, mode, owner)
    return {p: Stat(type=k, mode=int(m, 8), owner=o, sha256=sums.get(p, "") if k.startswith("regular") else "") for p, (k, m, o) in stats.items()}


def attributes(seen: Stat, mode: int, owner: str) -> str:
    """The reason why mode or owner must change, or ``""``."""
    reasons = [f"mode {seen.mode:04o}, want {mode:04o}"] if seen.mode != mode else []
    return "; ".join(reasons + ([f"owner {seen.owner}, want {owner}"] if seen.owner != owner else []))


def temporary(path: str) -> str:
    """The name under which new content is written beside *path* before the rename; recognisable, so that a later run removes it."""
    return posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.kb-new")


def put(path: str, source: str, *, sha256: str, mode: int, owner: str) -> tuple[str, ...]:
    """Commands that write *source* (a command that prints the content) to *path*: new file, verified, synced, renamed."""
    new = temporary(path)
    quoted = sh(new)
    return (
        f"rm -rf -- {quoted}",
        f"( set -C; {source} > {quoted} )",
        f"echo {sh(f'{sha256}  {new}')} | sha256sum -c --status || {{ echo 'content arrived damaged'; rm -f -- {quoted}; exit 1; }}",
        f"chown {sh(owner)} {quoted}; chmod {mode:04o} {quoted}",
        f"sync {quoted}",
        *replace(path),
    )


def replace(path: str) -> tuple[str, ...]:
    """Commands that rename what lies under ``temporary(path)`` to *path*; a directory in its place goes first."""
    return (f"[ ! -d {sh(path)} ] || [ -L {sh(path)} ] || rm -rf -- {sh(path)}", f"mv -fT -- {sh(temporary(path))} {sh(path)}")
