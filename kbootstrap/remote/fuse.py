"""Many shell texts as one program, and its one output cut into pieces again. Pure.

Reading: each section runs in a subshell of its own. Changing: each change runs in a shell of its own under ``timeout``, the first failure stops
the rest. A line with a random marker stands between the pieces. The newline before each marker line belongs to the frame, not to the output, so
every byte of an output survives, with or without a last newline. Outputs are never kept on the host: what floods, floods a pipe that we drain, and
what a daemon left behind still writes cannot hold anything up.
"""

from __future__ import annotations

import math
import shlex
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kbootstrap.catalog import paths

OUTPUT_KEPT: Final = 16 * 1024 * 1024  # of one section; more is a probe gone wrong
TAIL_KEPT: Final = 4096  # of one change
KILL_AFTER_S: Final = 5  # a change that ignores TERM
TIMED_OUT: Final = (124, 137)  # what timeout(1) exits with


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section's end. *output* is its stdout, byte for byte; *truncated* if there was more than is kept."""

    id: str
    exit_code: int
    output: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A change is under way."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A change ended; *output* holds the last 4 KiB of stdout and stderr."""

    id: str
    exit_code: int
    output: bytes

    @property
    def timed_out(self) -> bool:
        return self.exit_code in TIMED_OUT


def read_program(sections: Sequence[tuple[str, str]], marker: str, preamble: str = "") -> str:
    """One POSIX-sh program for all (id, text) *sections*; always exits 0, each section's own code is in the frame.

    A text that does not even parse fails alone. stdin of every section is /dev/null; stderr is the program's.
    """
    frame = f"""kb_end() {{ printf '\\n%s end %s %s\\n' {marker} "$1" "$2"; }}"""
    parts = [preamble, frame]
    parts += [f"(eval {shlex.quote(text)}) </dev/null\nkb_end {shlex.quote(_checked(name))} $?" for name, text in sections]
    return "\n".join([*parts, "exit 0"])


def split(lines: Iterable[bytes], marker: str, *, keep: int = OUTPUT_KEPT) -> Iterator[Section]:
    """The sections of a read program's output as they end; what follows the last frame (a program cut short) is dropped."""
    prefix = f"{marker} end ".encode()
    kept: list[bytes] = []
    size = 0
    for line in lines:
        if line.startswith(prefix):
            name, _, code = line[len(prefix) :].rpartition(b" ")
            yield Section(id=name.decode(), exit_code=int(code), output=b"\n".join(kept), truncated=size > keep)
            kept, size = [], 0
            continue
        size += len(line) + 1
        if size <= keep:
            kept.append(line)


def change_program(changes: Sequence[tuple[str, str, float]], marker: str, *, keep_going: bool = False, preamble: str = "") -> str:
    """One POSIX-sh program for all (id, text, deadline in seconds) *changes*; exits 0 if all did, else 1.

    Each text runs after *preamble* (shell functions) in a shell of its own with the program's stdin, so the first may unpack the payload. The
    texts lie in a 0700 directory below /run while they run; they must not hold secrets. Without *keep_going* nothing follows a failure.
    """
    stop = "" if keep_going else "\n    [ $rc = 0 ] || exit 1"
    head = f"""d={paths.RUN}/{marker}
mkdir -p -m 700 {paths.RUN} && mkdir -m 700 "$d" || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 143' TERM
printf %s {shlex.quote(preamble)} >"$d/preamble"
failed=0
kb_change() {{
    printf '\\n%s begin %s\\n' {marker} "$1"
    printf '. %s\\n%s\\n' "$d/preamble" "$3" >"$d/change"
    timeout -k {KILL_AFTER_S} "$2" sh "$d/change" 2>&1
    rc=$?
    printf '\\n%s end %s %s\\n' {marker} "$1" $rc
    [ $rc = 0 ] || failed=1{stop}
}}"""
    calls = [f"kb_change {shlex.quote(_checked(name))} {math.ceil(deadline_s)} {shlex.quote(text)}" for name, text, deadline_s in changes]
    return "\n".join([head, *calls, "exit $failed"])


def follow(lines: Iterable[bytes], marker: str) -> Iterator[Begun | Ended]:
    """The changes of a change program's output as they begin and end. A Begun without Ended was under way when the program was cut off."""
    begin, end = f"{marker} begin ".encode(), f"{marker} end ".encode()
    tail: deque[bytes] = deque()
    size = 0
    for line in lines:
        if line.startswith(begin):
            yield Begun(id=line[len(begin) :].decode())
        elif line.startswith(end):
            name, _, code = line[len(end) :].rpartition(b" ")
            yield Ended(id=name.decode(), exit_code=int(code), output=b"\n".join(tail)[-TAIL_KEPT:])
        else:
            tail.append(line[-TAIL_KEPT:])
            size += len(tail[-1]) + 1
            while size - len(tail[0]) - 1 > TAIL_KEPT:
                size -= len(tail.popleft()) + 1
            continue
        tail.clear()
        size = 0


def _checked(name: str) -> str:
    if not name or "\n" in name or "\0" in name:
        raise ValueError(f"not an id for a frame: {name!r}")
    return name
