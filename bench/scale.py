"""How cost grows with the number of hosts: ``./inv bench --scale 10,100,1000``. A small role, first and second run, of kbootstrap and of the bare
client; CPU seconds and memory of the controller at each count, and the straight line through them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from bench import verify
from bench.contestants import CONTESTANTS, FLOOR, OURS
from bench.figures import line
from bench.rounds import Course, Sample, one
from bench.servers import hosts
from bench.works import FIRST, SECOND, Work, files

FILES = 3


def small() -> Work:
    """A few of W1's files: what a host costs, not what its work does."""
    work = files()
    return replace(work, id="W0", title=f"{FILES} rendered files", templates=work.templates[:FILES])


def run(counts: Sequence[int], *, rounds: int) -> int:
    """A line per count, then the fitted lines; exit code 1 if somebody did not do the work."""
    found: dict[tuple[str, str], list[tuple[int, Sample]]] = {}
    for count in counts:
        for sample in _at(count, rounds):
            found.setdefault((sample.contestant, sample.run), []).append((count, sample))
            cost = sample.failed or f"{sample.wall_s:7.2f} s  {sample.cpu_s:6.2f} + {sample.hosts_cpu_s:6.2f} CPU s  {sample.peak_mb:5.0f} MB"
            say(f"{count:>5} hosts  {sample.contestant:<10} {sample.run:<6} {cost}")
    for (contestant, run_), some in found.items():
        say(f"{contestant} {run_}: {growth(some)}")
    return 1 if any(sample.failed for some in found.values() for _, sample in some) else 0


def growth(some: Sequence[tuple[int, Sample]]) -> str:
    """The fitted lines as a sentence; of each count the median."""
    counts = sorted({count for count, _ in some})

    def fitted(read: str) -> tuple[float, float]:
        return line([(count, median(getattr(s, read) for n, s in some if n == count)) for count in counts])

    (cpu, cpu_each), (memory, memory_each) = fitted("cpu_s"), fitted("peak_mb")
    return f"{cpu:.2f} CPU s + {cpu_each * 1000:.1f} ms per host; {memory:.0f} MB + {memory_each * 1000:.0f} KB per host"


def _at(count: int, rounds: int) -> Iterator[Sample]:
    with hosts(count) as farm:
        course = Course(farm=farm, folder=farm.base / "stand")
        for number in range(1, rounds + 1):
            for name in (OURS, FLOOR):
                verify.clean(farm.places)
                for run_ in (FIRST, SECOND):
                    yield one(course, small(), CONTESTANTS[name], run=run_, number=number)


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
