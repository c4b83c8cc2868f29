"""Where the time went: sums, the longest steps, the chain that the end waited for, and the trace file."""

from __future__ import annotations

from itertools import pairwise

from kbootstrap.model.events import ChangeFinished, Note, Span, StageFinished
from kbootstrap.report import timings
from kbootstrap.report.timings import Heard


def _change(host: str, change_id: str, seconds: float, at_s: float) -> Heard:
    return Heard(at_s=at_s, event=ChangeFinished(host=host, change_id=change_id, exit_code=0, output="", seconds=seconds))


def _span(label: str, seconds: float, at_s: float, host: str = "") -> Heard:
    return Heard(at_s=at_s, event=Span(host=host, label=label, seconds=seconds))


HEARD = [
    _span("rendering", 1.0, 1.0),
    _span("read", 0.5, 1.5, "m1"),
    _span("read", 0.8, 1.8, "m2"),
    Heard(at_s=1.8, event=Note(text="read 2 hosts")),
    _change("m1", "m1:service/etcd", 2.0, 4.0),
    _change("m2", "m2:service/etcd", 2.2, 4.1),
    _span("upload", 2.1, 4.0, "m1"),
    Heard(at_s=4.1, event=StageFinished(stage="ETCD", seconds=2.2)),
]


def test_the_critical_path_is_what_the_end_waited_for() -> None:
    found = timings.critical_path(timings.work(HEARD), 4.6)
    assert [str(timing) for timing in found] == ["operator rendering", "m2 read", "operator not measured", "m2 service/etcd", "operator not measured"]
    assert sum(timing.seconds for timing in found) > 4.4, "it covers the whole command"


def test_a_silent_command_is_one_gap() -> None:
    assert [(timing.label, timing.seconds) for timing in timings.critical_path((), 2.0)] == [("not measured", 2.0)]


def test_the_slowest_come_first_and_stages_are_not_among_them() -> None:
    assert [timing.label for timing in timings.slowest(HEARD, 3)] == ["m2:service/etcd", "upload", "m1:service/etcd"]


def test_lines_tell_stage_host_and_step() -> None:
    text = "\n".join(timings.lines(HEARD, 4.6))
    assert "   4.600 s in all" in text
    assert "   2.200 s  ETCD" in text
    assert "   4.600 s  m1           3 steps" in text
    assert "   2.200 s  m2 service/etcd" in text


def test_the_trace_has_a_lane_per_host_and_one_beside_for_uploads() -> None:
    trace = timings.chrome(HEARD)
    lanes = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"}
    events = [(lanes[event["tid"]], event["name"], event["ts"], event["dur"]) for event in trace["traceEvents"] if event["ph"] == "X"]
    assert ("m1", "m1:service/etcd", 2_000_000, 2_000_000) in events
    assert ("m1 upload", "upload", 1_900_000, 2_100_000) in events
    assert ("stages", "ETCD", 1_900_000, 2_200_000) in events
    assert ("operator", "rendering", 0, 1_000_000) in events
    for lane in lanes.values():
        mine = sorted((ts, ts + dur) for name, label, ts, dur in events if name == lane and label != "ETCD")
        assert all(end <= begin + 1 for (_, end), (begin, _) in pairwise(mine)), f"{lane} overlaps: a viewer would nest it"
