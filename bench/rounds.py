"""Interleaved rounds: in each round every contestant does every work once, in an order that the seed decides; so what the machine does meanwhile
falls on all alike."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import measure, verify
from bench.proxy import Network, Traffic
from bench.servers import Farm, Place
from bench.stand import Contestant, Stand
from bench.works import CHANGED, FIRST, Work

SETTLE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of one contestant; *failed* says why it does not count. *traffic* is known behind a proxy."""

    round: int
    work: str
    run: str
    contestant: str
    wall_s: float
    cpu_s: float
    hosts_cpu_s: float
    peak_mb: float
    processes: int
    sessions: int
    traffic: Traffic | None = None
    failed: str = ""

    def data(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where it happens: the hosts, perhaps a network in front of them, and a folder for the contestants' files."""

    farm: Farm
    folder: Path
    network: Network | None = None

    @property
    def places(self) -> tuple[Place, ...]:
        return self.network.places if self.network else self.farm.places

    def stand(self, name: str) -> Stand:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return Stand(places=self.places, key=self.farm.key, known_hosts=self.farm.known_hosts, folder=folder)


def samples(
    course: Course, works: Sequence[Work], contestants: Sequence[Contestant], *, rounds: int, seed: int, say: Callable[[str], None]
) -> Iterator[Sample]:
    """Every sample as it is taken."""
    shuffled = random.Random(seed)  # noqa: S311  an order, no secret
    for number in range(1, rounds + 1):
        pairs = [(work, contestant) for work in works for contestant in contestants if work.id in contestant.works]
        shuffled.shuffle(pairs)
        for work, contestant in pairs:
            verify.clean(course.farm.places)
            for run in work.runs:
                sample = one(course, work.changed() if run == CHANGED else work, contestant, run=run, number=number)
                cost = f"{sample.wall_s:7.2f} s  {sample.cpu_s:7.2f} + {sample.hosts_cpu_s:.2f} CPU s"
                say(f"round {number}  {work.id} {run:<8} {contestant.name:<11} {sample.failed or cost}")
                yield sample


def one(course: Course, work: Work, contestant: Contestant, *, run: str, number: int = 1) -> Sample:
    """Prepare (not measured), run, and look at what was done."""
    stand = course.stand(contestant.name)
    job = contestant.job(stand, work)
    if run == FIRST:
        for kept in ("inventory/bench/state.yml", "home"):  # what a tool remembers of hosts that are bare again
            path = stand.folder / kept
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    if course.network:
        course.network.count()
    before = course.farm.spent()
    measured = measure.run(job.argv, cwd=job.cwd, environment=job.environment)
    settle(course.farm, before.alive)
    spent = course.farm.spent().since(before)
    wrong = verify.lacks(work, job, course.farm.places, measured.output)
    if measured.exit_code:
        last = measured.output.strip().splitlines()[-12:]
        wrong.insert(0, f"exit code {measured.exit_code}: {' / '.join(last)}")
    return Sample(
        round=number,
        work=work.id,
        run=run,
        contestant=contestant.name,
        wall_s=measured.wall_s,
        cpu_s=measured.cpu_s,
        hosts_cpu_s=spent.cpu_s,
        peak_mb=measured.peak_mb,
        processes=spent.processes,
        sessions=spent.sessions,
        traffic=course.network.count() if course.network else None,
        failed=f"failed: {'; '.join(wrong[:3])}" if wrong else "",
    )


def settle(farm: Farm, alive: int) -> None:
    """Until the servers of closed connections have ended: their last CPU time belongs to this run."""
    until = time.monotonic() + SETTLE_S
    while farm.spent().alive > alive and time.monotonic() < until:
        time.sleep(0.02)
