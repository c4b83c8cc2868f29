"""A network between driver and hosts: ``python -m bench.proxy <delay in ms> <port> …`` listens on a port for each, and speaks JSON on its output.

Every byte comes half a round trip later than it was sent; a connection needs one and a half before its first byte arrives, as TCP's handshake does.
For each connection it counts bytes and round trips: a clock of half trips goes with the bytes (what is sent after something arrived is later than
that by one way), so the count is the length of the longest chain of questions and answers, whatever the machine's pace.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.servers import PROJECT, Farm, Place

CHUNK: Final = 1 << 18
CONNECTED: Final = 2  # half trips until the client may send; the server hears of it one later


class Line:
    """One connection. ``near`` and ``far`` are the clocks, in half trips, of what the client and the server know."""

    def __init__(self, port: int) -> None:
        self.port, self.up, self.down, self.near, self.far = port, 0, 0, CONNECTED, CONNECTED + 1

    def row(self) -> dict[str, int | float]:
        return {"port": self.port, "up": self.up, "down": self.down, "trips": self.near / 2}


class Proxy:
    """All connections since the last count."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._lines: list[Line] = []

    async def accept(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(target)
        self._lines.append(line)
        await asyncio.sleep(1.5 * self._delay_s)
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK)
            await asyncio.gather(self._carry(line, reader, far_writer, up=True), self._carry(line, far_reader, writer, up=False))

    async def _carry(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue(64)
        deliver = asyncio.create_task(self._deliver(line, queue, writer, up=up))
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await queue.put((loop.time() + self._delay_s / 2, (line.near if up else line.far) + 1, data))
        await queue.put((loop.time() + self._delay_s / 2, 0, b""))
        await deliver

    async def _deliver(self, line: Line, queue: asyncio.Queue[tuple[float, int, bytes]], writer: asyncio.StreamWriter, *, up: bool) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while True:
                due, clock, data = await queue.get()
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                if not data:
                    break
                if up:
                    line.up, line.far = line.up + len(data), max(line.far, clock)
                else:
                    line.down, line.near = line.down + len(data), max(line.near, clock)
                writer.write(data)
                await writer.drain()
        writer.close()

    def count(self) -> list[dict[str, int | float]]:
        found, self._lines = [line.row() for line in self._lines], []
        return found


async def serve(delay_s: float, targets: Sequence[int]) -> None:
    proxy = Proxy(delay_s)
    servers = [await asyncio.start_server(_to(proxy, target), "127.0.0.1", 0, limit=CHUNK) for target in targets]
    say([server.sockets[0].getsockname()[1] for server in servers])
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        say(proxy.count())


def _to(proxy: Proxy, target: int) -> Any:
    return lambda reader, writer: proxy.accept(target, reader, writer)


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one run sent: connections, bytes to the hosts and from them, and the longest chain of round trips of any connection."""

    connections: int
    up: int
    down: int
    trips: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A running proxy; *places* are the hosts behind it."""

    places: tuple[Place, ...]
    process: subprocess.Popen[str]

    def count(self) -> Traffic:
        """Since the last count."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        rows = _said(self.process)
        trips = max((row["trips"] for row in rows), default=0.0)
        return Traffic(connections=len(rows), up=sum(row["up"] for row in rows), down=sum(row["down"] for row in rows), trips=trips)


@contextmanager
def network(farm: Farm, *, delay_ms: float) -> Iterator[Network]:
    """*farm* behind a delay of *delay_ms* per round trip; its known_hosts then names the proxy's ports too."""
    ports = [place.port for place in farm.places]
    argv = [sys.executable, "-m", "bench.proxy", str(delay_ms), *map(str, ports)]
    with subprocess.Popen(argv, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            near = _said(process)
            farm.write_known_hosts([*ports, *near])
            yield Network(places=tuple(replace(place, port=port) for place, port in zip(farm.places, near, strict=True)), process=process)
        finally:
            process.kill()


def _said(process: subprocess.Popen[str]) -> Any:
    text = process.stdout.readline() if process.stdout is not None else ""
    if not text:
        raise RuntimeError("the proxy ended")
    return json.loads(text)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(float(sys.argv[1]) / 1000, [int(port) for port in sys.argv[2:]]))
