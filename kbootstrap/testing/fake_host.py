"""A host that answers as a test tells it, and remembers what it was asked: the engine's counterpart without a network."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from kbootstrap.errors import CommandError, KbError
from kbootstrap.remote import lock
from kbootstrap.remote.connection import Finished, Running, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program prints and exits with; *error* is raised instead of the end, after *stdout* has been read."""

    stdout: bytes = b""
    exit_code: int = 0
    stderr: str = ""
    error: KbError | None = None


Script = Callable[[str, bytes], Answer | None]


def when(part: str, answer: Answer) -> Script:
    """*answer* for any program that contains *part*."""
    return lambda program, payload: answer if part in program else None


def reading(sections: Mapping[str, tuple[int, bytes]]) -> Script:
    """Answer ``fuse.read_program`` with (exit code, output) by section id; a section not named exits 0 without output."""

    def answer(program: str, payload: bytes) -> Answer | None:
        found = [(name, *sections.get(name, (0, b""))) for name in _calls(program, "kb_end")]
        frames = (output + f"\n{_marker(program)} end {name} {code}\n".encode() for name, code, output in found)
        return Answer(stdout=b"".join(frames)) if found else None

    return answer


def changing(results: Mapping[str, tuple[int, bytes]] | None = None) -> Script:
    """Answer ``fuse.change_program`` with (exit code, output) by change id; others succeed. The first failure stops, unless the program goes on."""

    def answer(program: str, payload: bytes) -> Answer | None:
        out, failed = b"", False
        for name in _calls(program, "kb_change"):
            code, output = (results or {}).get(name, (0, b""))
            out += f"\n{_marker(program)} begin {name}\n".encode() + output + f"\n{_marker(program)} end {name} {code}\n".encode()
            failed = failed or code != 0
            if code and "|| exit 1\n}" in program:
                break
        return Answer(stdout=out, exit_code=int(failed)) if out else None

    return answer


def _calls(program: str, function: str) -> Iterator[str]:
    """The first argument of each call of a frame's function."""
    for call in re.finditer(rf"^{function} ", program, re.M):
        words = shlex.shlex(program[call.end() :], posix=True)
        words.whitespace_split, words.commenters = True, ""
        yield str(words.get_token())


def _marker(program: str) -> str:
    found = re.search(r"%s end %s %s\\n' (\S+) ", program)
    if found is None:
        raise ValueError("not a program of fuse")
    return found[1]


@dataclass(kw_only=True)
class FakeHost:
    """``Connection`` whose scripts are asked in order; a program that none knows succeeds silently. The host's lock is always free."""

    host: str = "m1"
    scripts: list[Script] = field(default_factory=list)
    listening: Mapping[tuple[str, int], bytes] = field(default_factory=dict)  # what a dialled address says before it closes
    programs: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    closed: bool = False

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        if lock.LOCK in program and lock.TAKEN.decode() in program:
            return FakeRunning(Answer(stdout=lock.TAKEN + b"\n"))
        sent = b"".join(bytes(part) for part in payload)
        self.programs.append(program)
        self.payloads.append(sent)
        answers = (script(program, sent) for script in self.scripts)
        return FakeRunning(next((a for a in answers if a is not None), Answer()))

    def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
        if (address, port) not in self.listening:
            raise CommandError(f"{address} port {port}: connection refused", host=self.host)
        return FakeStream(self.listening[(address, port)])

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class FakeRunning:
    """``Running`` that has ended already."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._rest = answer.stdout.split(b"\n")
        if self._rest[-1] == b"":
            self._rest.pop()

    def lines(self) -> Iterator[bytes]:
        while self._rest:
            yield self._rest.pop(0)
        if self._answer.error is not None:
            raise self._answer.error

    def finish(self) -> Finished:
        for _ in self.lines():
            pass
        return Finished(exit_code=self._answer.exit_code, stderr=self._answer.stderr)

    def close(self) -> None:
        self._rest.clear()


class FakeStream:
    """Says what it was given, then ends; remembers what it was sent."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.sent = b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, size: int) -> bytes:
        part, self._says = self._says[:size], self._says[size:]
        return part

    def close(self) -> None:
        self._says = b""
