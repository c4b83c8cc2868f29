"""Where the time went: what was heard while a command ran → lines for a terminal, and a file for a browser's trace viewer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kbootstrap.model.events import ChangeFinished, Event, Span, StageFinished

UPLOAD: Final = "upload"  # beside a host's other work, so it has a lane of its own
OPERATOR: Final = "operator"
LONGEST: Final = 10
SHORT_S: Final = 0.0005  # what shows as 0.000 tells nobody anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An event and when it came, in seconds since the command began."""

    at_s: float
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One piece of work on one host, or on the operator's machine (*host* is empty)."""

    host: str
    label: str
    begin_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s

    def __str__(self) -> str:
        return f"{self.host or OPERATOR} {self.label.removeprefix(f'{self.host}:')}"


def work(heard: Iterable[Heard]) -> tuple[Timing, ...]:
    """Everything that took time, by its begin; stages, which only sum up, are left out."""
    found = []
    for one in heard:
        match one.event:
            case Span(label=label, seconds=seconds) | ChangeFinished(change_id=label, seconds=seconds):
                found.append(Timing(host=one.event.host, label=label, begin_s=max(0.0, one.at_s - seconds), end_s=one.at_s))
    return tuple(sorted(found, key=lambda timing: (timing.begin_s, timing.end_s)))


def stages(heard: Iterable[Heard]) -> tuple[Timing, ...]:
    """The stages of a plan, in the order in which they ended."""
    found = [(one.at_s, one.event) for one in heard if isinstance(one.event, StageFinished)]
    return tuple(Timing(host="", label=event.stage, begin_s=max(0.0, at_s - event.seconds), end_s=at_s) for at_s, event in found)


def slowest(heard: Iterable[Heard], count: int) -> tuple[Timing, ...]:
    """The *count* pieces of work that took longest."""
    return tuple(sorted(work(heard), key=lambda timing: -timing.seconds)[:count])


def critical_path(timings: Sequence[Timing], total_s: float) -> tuple[Timing, ...]:
    """The chain of work that the end waited for: the last to end, before it the last that ended before that began, and so on.

    Where nothing was under way that was heard of, the gap is a timing called «not measured».
    """
    path: list[Timing] = []
    cursor = total_s
    while cursor > SHORT_S:
        before = [timing for timing in timings if timing.end_s <= cursor + SHORT_S and timing.seconds > SHORT_S and timing.begin_s < cursor - SHORT_S]
        last = max(before, key=lambda timing: (timing.end_s, timing.seconds), default=None)
        end = last.end_s if last else 0.0
        if cursor - end > 0.01:  # less is the step from one to the next
            path.append(Timing(host="", label="not measured", begin_s=end, end_s=cursor))
        if last is None:
            break
        path.append(last)
        cursor = last.begin_s
    return tuple(reversed(path))


def lines(heard: Sequence[Heard], total_s: float) -> list[str]:
    """Per stage, per host, the longest pieces of work and the critical path."""
    timings = work(heard)
    hosts = dict.fromkeys(timing.host for timing in timings)
    by_host = [(host or OPERATOR, sum(t.seconds for t in timings if t.host == host), sum(t.host == host for t in timings)) for host in hosts]
    found = [f"{total_s:8.3f} s in all"]
    found += _section("by stage", [f"{t.seconds:8.3f} s  {t.label}" for t in stages(heard)])
    found += _section("by host, summed over its steps", [f"{seconds:8.3f} s  {host:<12} {count} steps" for host, seconds, count in by_host])
    found += _section("longest steps", [f"{t.seconds:8.3f} s  {t}" for t in slowest(heard, LONGEST)])
    path = critical_path(timings, total_s)
    return found + _section("critical path: what the end waited for", [f"{t.begin_s:8.3f} + {t.seconds:.3f} s  {t}" for t in path])


def chrome(heard: Sequence[Heard]) -> dict[str, Any]:
    """The trace event format that Chrome's about:tracing, Perfetto and speedscope open: a lane per host, times in microseconds."""
    timings = [(_lane(t), t) for t in work(heard)] + [("stages", t) for t in stages(heard)]
    lanes = {lane: number for number, lane in enumerate(dict.fromkeys(["stages", OPERATOR, *(lane for lane, _ in timings)]), 1)}
    names = [{"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": lane}} for lane, number in lanes.items()]
    events = [
        {"name": t.label, "ph": "X", "pid": 1, "tid": lanes[lane], "ts": round(t.begin_s * 1e6), "dur": round(t.seconds * 1e6)} for lane, t in timings
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *events]}


def _lane(timing: Timing) -> str:
    host = timing.host or OPERATOR
    return f"{host} {UPLOAD}" if timing.label == UPLOAD else host


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return [title, *rows] if rows else []
