"""A program under way, over whatever carries its three streams: the ready marker, sudo's dialogue, the payload, deadlines, the exit code."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from kbootstrap.errors import CommandError, ConnectError, PrivilegeError
from kbootstrap.remote.bootstrap import CUT_SHORT, HEARTBEAT, heartbeat_s, why_not_started
from kbootstrap.remote.connection import Finished

STDERR_KEPT: Final = 64 * 1024
SLICE: Final = 256 * 1024
SUDO_ANSWER_S: Final = 60.0  # PAM delays a wrong password by some seconds, an LDAP lookup may take as long; where the host's own name is not in its
# /etc/hosts, sudo waits for DNS: over 20 s were seen where no name server answers
AFTER_EXIT_S: Final = 2.0  # a daemon left behind may hold stdout open for ever


class Pipe(Protocol):
    """The three streams of a remote shell; one thread reads, one writes."""

    def read(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """What arrived on (stdout, stderr); both empty after *timeout_s*; None once both have ended."""
        ...

    def write(self, data: memoryview) -> None:
        """Send all of it, blocking; OSError when nobody reads any more."""
        ...

    def write_end(self) -> None: ...

    def exited(self) -> bool:
        """Whether the exit code is known, although output may still come."""
        ...

    def exit_code(self, timeout_s: float) -> int:
        """Wait for it; -1 if there is none. ConnectError if the connection died before."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run and how long it may take; *text* is ``bootstrap.wrap``'s."""

    host: str
    user: str
    marker: str
    text: bytes
    payload: Iterable[bytes | memoryview] = ()
    deadline_s: float = 60.0
    idle_s: float = 0.0


class Program:
    """``Running`` over a ``Pipe``. The constructor returns once the program is on its way (with sudo and a password: once sudo has let us in)."""

    def __init__(self, pipe: Pipe, order: Order, *, password: Callable[[], str] | None = None) -> None:
        self._pipe = pipe
        self._order = order
        self._end_at = time.monotonic() + order.deadline_s
        self._active_at = time.monotonic()
        self._look_s = min(heartbeat_s(order.deadline_s) / 2, 5.0)  # for an end that leaves the output open
        self._out = bytearray()  # before the marker line has been seen
        self._ready = False
        self._stderr = bytearray()
        self._feed_error: BaseException | None = None
        self._exit_code: int | None = None
        self._closed = False
        try:
            if password is not None:
                self._let_in(password)
                self._end_at = time.monotonic() + order.deadline_s  # a person may have been typing
            self._feed()
        except BaseException:
            self.close()
            raise

    # --- the other side's view: what we send

    def _feed(self) -> None:
        if isinstance(self._order.payload, tuple) and not self._order.payload and len(self._order.text) < SLICE:
            self._send(self._order.text)  # fits into the window that every sshd opens; needs no thread
            self._end_input()
            return
        threading.Thread(target=self._feed_all, name=f"feed {self._order.host}", daemon=True).start()

    def _feed_all(self) -> None:
        try:
            self._send(self._order.text)
            for part in self._order.payload:
                if self._closed or not self._send(part):
                    return
            self._end_input()
        except BaseException as error:  # the caller's iterator failed; lines() and finish() raise it there
            self._feed_error = error
            self._pipe.close()

    def _send(self, data: bytes | memoryview) -> bool:
        view = memoryview(data)
        try:
            for start in range(0, len(view), SLICE):
                self._pipe.write(view[start : start + SLICE])
                self._active_at = time.monotonic()
        except OSError:
            return False  # the program ended without reading everything; its exit code tells why
        return True

    def _end_input(self) -> None:
        try:
            self._pipe.write_end()
        except OSError:
            return  # the program has ended already; its exit code tells why

    # --- what arrives

    def _let_in(self, password: Callable[[], str]) -> None:
        """Answer sudo's prompt (the marker on stderr) once; the marker on stdout says that no more is asked."""
        marker = self._order.marker.encode()
        until = time.monotonic() + min(SUDO_ANSWER_S, self._order.deadline_s)
        answered = False
        while not self._ready:
            if (more := self._arrived(until)) is None:
                break
            self._begin(more)
            prompts = self._stderr.count(marker)
            if prompts > 1:
                raise PrivilegeError(f"sudo refuses the password of user {self._order.user}", hint=_SUDO_HINT, host=self._order.host)
            if prompts and not answered:
                self._send(password().encode() + b"\n")
                answered, until = True, time.monotonic() + SUDO_ANSWER_S
            if not self._ready and time.monotonic() >= until:
                hint = "Try `sudo -v` on the host; it waits for DNS where the host's own name is not in /etc/hosts."
                raise PrivilegeError(f"sudo did not answer within {SUDO_ANSWER_S:.0f} s", hint=hint, host=self._order.host)
        self._stderr = self._stderr.replace(marker, b"")
        if not self._ready:
            raise self._not_started()

    def _arrived(self, until: float) -> bytes | None:
        """The next piece of stdout (empty on a time out), None at the end; stderr is kept aside."""
        arrived = self._pipe.read(max(0.0, min(until - time.monotonic(), self._look_s)))
        if arrived is None:
            return None
        out, err = arrived
        if err and (err := err.replace(HEARTBEAT, b"")):
            self._stderr += err
            del self._stderr[:-STDERR_KEPT]
        if out or err:
            self._active_at = time.monotonic()
        return out

    def _begin(self, out: bytes) -> bytes:
        """Drop everything up to the marker line; gives what follows it."""
        self._out += out
        _, found, rest = bytes(self._out).partition(self._order.marker.encode() + b"\n")
        if not found:
            del self._out[:-STDERR_KEPT]
            return b""
        self._ready, self._out = True, bytearray(rest)
        return rest

    def _next(self) -> bytes | None:
        """The next piece of the program's own output; None at its end. Raises what lines() raises."""
        while True:
            if self._ready and self._out:
                out, self._out = bytes(self._out), bytearray()
                return out
            self._check_time()
            active_at, left_behind = self._active_at, self._left_behind()  # before looking: what comes with the exit code counts
            more = self._arrived(self._end_at)
            if self._feed_error is not None:
                raise self._feed_error
            if more is None or (left_behind and self._active_at == active_at):
                self._ended()
                return None
            if more and self._ready:
                return more
            self._begin(more)

    def _left_behind(self) -> bool:
        return time.monotonic() - self._active_at > AFTER_EXIT_S and self._pipe.exited()

    def _check_time(self) -> None:
        now, order = time.monotonic(), self._order
        if now >= self._end_at:
            what = f"not finished after {order.deadline_s:g} s"
        elif order.idle_s and now - self._active_at >= order.idle_s:
            what = f"silent for {order.idle_s:g} s"
        else:
            return
        self.close()
        raise CommandError(f"{what}; stopped.{self._last_words()}", host=order.host, hint="Run the same command again; it resumes.")

    def _last_words(self) -> str:
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        return f" Last message: {lines[-1]}" if lines else ""

    def _ended(self) -> None:
        if self._exit_code is None:
            self._exit_code = self._pipe.exit_code(max(1.0, self._end_at - time.monotonic()))
            self.close()
        if not self._ready:
            raise self._not_started()
        if self._exit_code == CUT_SHORT:
            raise ConnectError("the connection broke while the program was on its way; nothing was run", host=self._order.host)

    def _not_started(self) -> PrivilegeError:
        message, hint = why_not_started(self._stderr.decode(errors="replace"), user=self._order.user)
        return PrivilegeError(message, hint=hint, host=self._order.host)

    # --- Running

    def lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        while self._exit_code is None and (chunk := self._next()) is not None:
            first, *rest = chunk.split(b"\n")
            parts.append(first)
            if rest:
                yield b"".join(parts)
                yield from rest[:-1]
                parts = [rest[-1]] if rest[-1] else []
        if any(parts):
            yield b"".join(parts)

    def finish(self) -> Finished:
        while self._exit_code is None and self._next() is not None:
            pass
        return Finished(exit_code=-1 if self._exit_code is None else self._exit_code, stderr=self._stderr.decode(errors="replace"))

    def close(self) -> None:
        self._closed = True
        self._pipe.close()


_SUDO_HINT: Final = "Check the password given by --ask-sudo-password or the file ssh.sudo.password_file in cluster.yml."
