"""One run per host: an ``flock`` held by a shell of the run itself, so that the kernel gives it back when the run's connection ends.

The shell waits for the end of its stdin. Beside the lock lies who holds it. Taking a held lock is an explicit act and ends the holder's shell;
the holder notices at its next ``check``.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.errors import KbError, LockError
from kbootstrap.remote.connection import Connection, Running

LOCK: Final = f"{paths.RUN}/lock"
OWNER: Final = f"{paths.RUN}/lock.owner"
HELD_S: Final = 24 * 3600.0  # no run lasts longer
ANSWER_S: Final = 60.0  # a host whose disk hangs never says anything; taking a lock by force lasts five seconds
TAKEN: Final = b"taken"

_PROGRAM: Final = """read -r me rest </proc/self/stat
mkdir -p -m 700 {run}
exec 9>>{lock}
if ! flock -n 9; then
    cat {owner} 2>/dev/null
    [ {take} = 1 ] || exit 75
    read -r holder rest <{owner} || exit 75
    ls -l "/proc/$holder/fd" 2>/dev/null | grep -qF -- "-> {lock}" && kill -KILL "$holder"
    flock -w 5 9 || exit 75
fi
printf '%s %s\\n' "$me" {who} >{owner}.new && mv {owner}.new {owner} || exit 1
echo {taken}
cat >/dev/null 9>&-
rm -f {owner}
"""

_PROBE: Final = """\
if [ -r {owner} ] && read -r holder rest <{owner} && ls -l "/proc/$holder/fd" 2>/dev/null | grep -qF -- "-> {lock}"; then
    printf '%s %s\\n' "$holder" "$rest"
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who holds a lock: ``user@machine``, the process there, since when (ISO 8601, UTC), and what it was told to do."""

    who: str
    pid: int
    since: str
    command: str

    @property
    def is_me(self) -> bool:
        """Whether it is this very process."""
        return (self.who, self.pid) == (Owner.here("").who, os.getpid())

    @classmethod
    def here(cls, command: str) -> Owner:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(who=f"{getpass.getuser()}@{socket.gethostname()}", pid=os.getpid(), since=since, command=command)

    def __str__(self) -> str:
        return f"{self.who} (process {self.pid}, `{self.command}`, since {self.since})"


class HostLock:
    """A held lock; ``hold`` makes it. Released by ``release``, by leaving the ``with`` block, or by the kernel."""

    def __init__(self, host: str, running: Running, lines: Iterator[bytes], done: threading.Event) -> None:
        self._host = host
        self._running = running
        self._done = done
        self._lost = threading.Event()
        self._watch = threading.Thread(target=self._until_end, args=(lines,), name=f"lock {host}", daemon=True)
        self._watch.start()

    def _until_end(self, lines: Iterator[bytes]) -> None:
        try:
            for _ in lines:
                pass
        except KbError:
            self._lost.set()  # check() speaks of it; the connection's other users get the error itself
        if not self._done.is_set():
            self._lost.set()

    def check(self) -> None:
        """Raise LockError if it was lost: taken by another run, or the connection ended."""
        if self._lost.is_set():
            raise LockError("the lock on this host was lost: another run took it, or the connection ended", host=self._host)

    def let_go(self) -> None:
        """Give it back without waiting for the host; ``release`` waits."""
        self._done.set()

    def release(self) -> None:
        """Give it back and wait until the host has; idempotent."""
        self.let_go()
        self._watch.join(timeout=5)
        self._running.close()

    def __enter__(self) -> HostLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def hold(connection: Connection, owner: Owner, *, take: bool = False) -> HostLock:
    """Lock the host for *owner*. Raises LockError naming the holder if it is held (*take* ends the holder's shell instead), or on silence."""
    done = threading.Event()
    program = _PROGRAM.format(run=paths.RUN, lock=LOCK, owner=OWNER, take=int(take), who=shlex.quote(json.dumps(asdict(owner))), taken=TAKEN.decode())
    running = connection.run(program, payload=_until(done), deadline_s=HELD_S)
    silent = threading.Event()

    def give_up() -> None:
        silent.set()
        running.close()

    timer = threading.Timer(ANSWER_S, give_up)
    timer.start()
    try:
        lines = running.lines()
        said = b""
        for line in lines:
            if line == TAKEN:
                return HostLock(connection.host, running, lines, done)
            said = line
        done.set()
        finished = running.finish()
        running.close()
    finally:
        timer.cancel()
    if silent.is_set():
        raise LockError(
            f"no answer within {ANSWER_S:.0f} s when it was asked for its lock", hint="Look at the host's disk and load.", host=connection.host
        )
    if finished.exit_code != 75:
        raise LockError(f"the lock cannot be taken: {finished.stderr.strip() or f'exit {finished.exit_code}'}", host=connection.host)
    raise LockError(
        f"another run works on this host: {holder(said) or 'it did not say who it is'}",
        hint="Wait for it; if it is surely dead, run again with --take-lock.",
        host=connection.host,
    )


def _until(done: threading.Event) -> Iterator[bytes]:
    """An empty payload that ends when *done* is set: the program's stdin stays open until then."""
    done.wait()
    yield b""


def probe() -> str:
    """sh text that prints who holds the lock, for ``holder``. It does not try the lock: that could turn away a run that comes just then."""
    return _PROBE.format(owner=OWNER, lock=LOCK)


def holder(line: bytes) -> Owner | None:
    """Of a line «process on the host, JSON»; None where it says nobody."""
    try:
        return Owner(**json.loads(line.partition(b" ")[2]))
    except (ValueError, TypeError):
        return None
