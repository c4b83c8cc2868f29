"""All hosts at once: one connection per host for the whole run, one thread per host that is worked on, one outcome per host."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from kbootstrap.errors import ConnectError, KbError
from kbootstrap.model.host import Host
from kbootstrap.remote.connection import Connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T]):
    """What came of one host: a value, or the error that kept it from one."""

    host: str
    value: T | None = None
    error: KbError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    def get(self) -> T:
        """The value; raises the host's error if there is none."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where T allows it


def answered(outcomes: Mapping[str, Outcome[T]]) -> dict[str, T]:
    """Host → value, of those that have one."""
    return {name: outcome.get() for name, outcome in outcomes.items() if outcome.error is None}


def failed(outcomes: Mapping[str, Outcome[Any]]) -> dict[str, KbError]:
    """Host → error, of those that have no value."""
    return {name: outcome.error for name, outcome in outcomes.items() if outcome.error is not None}


def failures(outcomes: Mapping[str, Outcome[Any]]) -> list[KbError]:
    """The errors alone: each names its host."""
    return list(failed(outcomes).values())


class Pool:
    """Connections on demand. A host that could not be reached is not tried again until ``forget``; it costs its own deadline once.

    Ctrl-C during ``map``: the first calls *on_stop*, lets the work under way end and starts no more, then closes all and raises
    KeyboardInterrupt; the second closes at once. Work that has steps of its own may look at ``stopping``.
    """

    def __init__(
        self, hosts: Iterable[Host], connect: Callable[[Host], Connection], *, forks: int = 50, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        self.hosts = tuple(hosts)
        self.stopping = threading.Event()
        self._connect = connect
        self._forks = forks
        self._on_stop = on_stop
        self._entered = 0
        self._entries = {host.name: _Entry() for host in self.hosts}

    def connection(self, host: Host) -> Connection:
        """The host's connection, made on first use. Raises ConnectError, the same again as long as it is not forgotten."""
        entry = self._entries[host.name]
        with entry.lock:
            if entry.error is not None:
                raise entry.error
            if self.stopping.is_set():
                raise ConnectError("interrupted", host=host.name)
            if entry.connection is None:
                try:
                    entry.connection = self._connect(host)
                except ConnectError as error:
                    error.host = error.host or host.name
                    entry.error = error
                    raise
            return entry.connection

    def fresh(self, host: Host) -> Connection:
        """A new connection beside the host's own, the caller's to close: that it can be made at all is what it proves. Raises ConnectError."""
        return self._connect(host)

    def forget(self, host: Host) -> None:
        """Close the host's connection and let the next use make a new one (after a reboot, or an error)."""
        entry = self._entries[host.name]
        with entry.lock:
            connection, entry.connection, entry.error = entry.connection, None, None
        if connection is not None:
            connection.close()

    def map(self, work: Callable[[Host, Connection], T], hosts: Iterable[Host] | None = None) -> dict[str, Outcome[T]]:
        """Do *work* on each host in parallel; outcomes in the order of *hosts* (default: all). Errors of hosts are outcomes; a bug is raised."""
        chosen = self.hosts if hosts is None else tuple(hosts)
        waiting, outcomes, bugs = deque(chosen), dict[str, Outcome[T]](), list[BaseException]()

        def worker() -> None:
            while waiting and not self.stopping.is_set():
                try:
                    host = waiting.popleft()
                except IndexError:
                    return  # another worker took the last one
                try:
                    outcomes[host.name] = self._one(host, work)
                except BaseException as bug:
                    bug.add_note(f"on host {host.name}")
                    bugs.append(bug)

        threads = [threading.Thread(target=worker, name=f"host {n}", daemon=True) for n in range(min(self._forks, len(chosen)))]
        self._run(threads)
        if bugs:
            raise bugs[0]
        return {host.name: outcomes[host.name] for host in chosen if host.name in outcomes}

    def _one(self, host: Host, work: Callable[[Host, Connection], T]) -> Outcome[T]:
        try:
            return Outcome(host=host.name, value=work(host, self.connection(host)))
        except KbError as error:
            error.host = error.host or host.name
            return Outcome(host=host.name, error=error)

    def _run(self, threads: list[threading.Thread]) -> None:
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self.stopping.set()
            try:
                self._on_stop()
                for thread in threads:
                    if thread.is_alive():  # the interrupt may have come before all were started
                        thread.join()
            finally:  # a second Ctrl-C comes here at once; work under way then ends with ConnectError
                self.close()
            raise

    def close(self) -> None:
        """Close every connection; idempotent. Does not wait for a connection that is just being made."""
        for entry in self._entries.values():
            if entry.connection is not None:
                entry.connection.close()

    def __enter__(self) -> Pool:
        """May be entered again by who is lent the pool: the last one out closes it."""
        self._entered += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered -= 1
        if not self._entered:
            self.close()


class _Entry:
    """One host's connection, or why there is none."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Connection | None = None
        self.error: ConnectError | None = None
