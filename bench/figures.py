"""Samples → medians and ratios, and the table on the terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from bench.rounds import Sample

COLUMNS: Final = ("work", "run", "tool", "wall s", "×", "CPU s", "×", "hosts' CPU s", "MB", "sessions", "trips")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One contestant in one row: medians of its good samples, and how many times as much as the measure (0: not known). *failed* says why there are
    none: one run that did not do the work fails the row."""

    work: str
    run: str
    contestant: str
    samples: int
    wall_s: float = 0.0
    cpu_s: float = 0.0
    hosts_cpu_s: float = 0.0
    peak_mb: float = 0.0
    sessions: float = 0.0
    trips: float = 0.0
    wall_ratio: float = 0.0
    cpu_ratio: float = 0.0
    failed: str = ""


def figures(samples: Sequence[Sample], *, measure: str) -> list[Figure]:
    """In the order of their first samples, each row beside that of *measure*."""
    rows = list(dict.fromkeys((s.work, s.run) for s in sorted(samples, key=lambda s: s.work)))
    names = sorted({s.contestant for s in samples}, key=lambda name: (name != measure, name))
    found = []
    for work, run in rows:
        mine = {name: [s for s in samples if (s.work, s.run, s.contestant) == (work, run, name)] for name in names}
        base = mine.get(measure, [])
        found += [_figure(work, run, name, some, base) for name, some in mine.items() if some]
    return found


def _figure(work: str, run: str, name: str, some: Sequence[Sample], base: Sequence[Sample]) -> Figure:
    failed = next((s.failed for s in some if s.failed), "")
    if failed:
        return Figure(work=work, run=run, contestant=name, samples=len(some), failed=failed)

    def middle(read: Callable[[Sample], float], of: Sequence[Sample] = some) -> float:
        return median(map(read, of)) if of else 0.0

    good = () if any(s.failed for s in base) else base
    wall, cpu = middle(lambda s: s.wall_s, good), middle(lambda s: s.cpu_s, good)
    return Figure(
        work=work,
        run=run,
        contestant=name,
        samples=len(some),
        wall_s=middle(lambda s: s.wall_s),
        cpu_s=middle(lambda s: s.cpu_s),
        hosts_cpu_s=middle(lambda s: s.hosts_cpu_s),
        peak_mb=middle(lambda s: s.peak_mb),
        sessions=middle(lambda s: s.sessions),
        trips=middle(lambda s: s.traffic.trips if s.traffic else 0.0),
        wall_ratio=middle(lambda s: s.wall_s) / wall if wall else 0.0,
        cpu_ratio=middle(lambda s: s.cpu_s) / cpu if cpu else 0.0,
    )


def table(values: Sequence[Figure]) -> Iterator[str]:
    """Aligned lines, a blank one between works and runs."""
    rows = [list(COLUMNS), *(_cells(value) for value in values)]
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(COLUMNS))]
    before = ("", "")
    for row in rows:
        if (row[0], row[1]) != before and before[0] not in ("", "work"):
            yield ""
        before = (row[0], row[1])
        yield "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()


def _cells(value: Figure) -> list[str]:
    where = [value.work, value.run, value.contestant]
    if value.failed:
        return [*where, "failed"]
    numbers = [f"{value.wall_s:.2f}", _ratio(value.wall_ratio), f"{value.cpu_s:.2f}", _ratio(value.cpu_ratio), f"{value.hosts_cpu_s:.2f}"]
    return [*where, *numbers, f"{value.peak_mb:.0f}", f"{value.sessions:.0f}", f"{value.trips:g}" if value.trips else "-"]


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value else "-"


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The straight line through *points* with the least squares, as (at zero, per unit): how a cost grows with the number of hosts."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((one - x) ** 2 for one in xs)
    slope = sum((a - x) * (b - y) for a, b in points) / spread if spread else 0.0
    return y - slope * x, slope
