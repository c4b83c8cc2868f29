"""The short form, for CI: three hosts, no peers, counts and CPU seconds only; never a wall time. ``./inv bench --short``.

Behind a delay, so that what goes together arrives together and round trips can be counted. The bare batch client is the floor.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench import verify
from bench.contestants import batch, kbootstrap
from bench.proxy import Traffic, network
from bench.rounds import Course, Sample, one
from bench.servers import hosts
from bench.stand import Contestant, Job, Stand
from bench.works import FIRST, SECOND, Work, files, own

HOSTS: Final = 3
DELAY_MS: Final = 20.0
TRIPS: Final = 3  # of a run that finds nothing to do, beside those of connecting
BYTES_AGAIN: Final = 8_000  # to a host in a second run: 20 files are asked for, none is sent
SESSIONS_FIRST: Final = 6  # look, lock, look, ledger, changes, look
CPU_RATIO: Final = 5.0  # of a second run, interpreter and imports included, to the bare client's


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What was found and what it may be at most."""

    what: str
    found: float
    most: float

    @property
    def holds(self) -> bool:
        return self.found <= self.most

    def __str__(self) -> str:
        return f"{'✓' if self.holds else '✗'} {self.what}: {self.found:g}, at most {self.most:g}"


def claims() -> list[Claim]:
    """Measure, and judge. AssertionError if a tool did not do the work."""
    with ExitStack() as stack:
        farm = stack.enter_context(hosts(HOSTS))
        course = Course(farm=farm, folder=farm.base / "stand", network=stack.enter_context(network(farm, delay_ms=DELAY_MS)))
        connecting = _done(one(course, Work(id="W0", title="connect"), _CONNECT, run=SECOND))
        ours = _both(course, files(), kbootstrap.CONTESTANT)
        again = [ours[SECOND], *(_done(one(course, files(), kbootstrap.CONTESTANT, run=SECOND)) for _ in range(2))]
        verify.clean(farm.places)
        floor = _both(course, files(), batch.CONTESTANT)
        bare = [floor[SECOND], *(_done(one(course, files(), batch.CONTESTANT, run=SECOND)) for _ in range(2))]
        verify.clean(farm.places)
        large = _both(course, own(), kbootstrap.CONTESTANT)
    return list(_judged(connecting, ours, again, bare, large))


def _judged(connecting: Sample, ours: dict[str, Sample], again: list[Sample], bare: list[Sample], large: dict[str, Sample]) -> Iterator[Claim]:
    yield Claim(what="connections per host", found=_traffic(ours[FIRST]).connections / HOSTS, most=1)
    trips = min(_traffic(sample).trips for sample in again) - _traffic(connecting).trips
    yield Claim(what="round trips of a run with nothing to do, beside connecting", found=trips, most=TRIPS)
    yield Claim(what="programs per host, first run", found=ours[FIRST].sessions / HOSTS, most=SESSIONS_FIRST)
    yield Claim(what="programs per host, second run", found=ours[SECOND].sessions / HOSTS, most=1)
    yield Claim(what="bytes to a host in a second run", found=round(median(_traffic(s).up for s in again) / HOSTS), most=BYTES_AGAIN)
    yield Claim(what="bytes to a host in a second run of a role with a binary", found=round(_traffic(large[SECOND]).up / HOSTS), most=BYTES_AGAIN)
    ratio = median(s.cpu_s for s in again) / median(s.cpu_s for s in bare)
    yield Claim(what="CPU seconds of a second run, times the bare client's", found=round(ratio, 2), most=CPU_RATIO)


def _both(course: Course, work: Work, contestant: Contestant) -> dict[str, Sample]:
    return {run: _done(one(course, work, contestant, run=run)) for run in (FIRST, SECOND)}


def _done(sample: Sample) -> Sample:
    assert not sample.failed, f"{sample.contestant} {sample.work} {sample.run}: {sample.failed}"
    return sample


def _traffic(sample: Sample) -> Traffic:
    assert sample.traffic is not None
    return sample.traffic


def _connecting(stand: Stand, work: Work) -> Job:
    kbootstrap.inventory(stand)
    argv = (sys.executable, "-m", "bench.clients.kb_connect", "inventory/bench")
    return Job(argv=argv, cwd=stand.folder, environment=kbootstrap.ENVIRONMENT)


_CONNECT: Final = Contestant(name="connect", title="connect", job=_connecting, peer=False)


def run() -> int:
    """Every claim as a line; exit code 1 if one does not hold."""
    found = claims()
    for claim in found:
        sys.stdout.write(f"{claim}\n")
    return 0 if all(claim.holds for claim in found) else 1
