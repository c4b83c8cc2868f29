"""Medians, ratios and the table: pure, from samples that were made up."""

from __future__ import annotations

import re

import pytest

from bench.figures import figures, line, table
from bench.page import Results, page
from bench.rounds import Sample


def sample(contestant: str, wall_s: float, *, work: str = "W1", run: str = "first", failed: str = "") -> Sample:
    return Sample(
        round=1, work=work, run=run, contestant=contestant, wall_s=wall_s, cpu_s=wall_s / 2, hosts_cpu_s=0.1, peak_mb=50, processes=3, sessions=2,
        failed=failed,
    )  # fmt: skip


SAMPLES = [sample("slow", 10), sample("kbootstrap", 1), sample("kbootstrap", 3), sample("slow", 30), sample("kbootstrap", 2), sample("slow", 20)]


def test_medians_and_ratios_to_ours() -> None:
    ours, slow = figures(SAMPLES, measure="kbootstrap")
    assert (ours.contestant, ours.wall_s, ours.cpu_s, ours.wall_ratio, ours.samples) == ("kbootstrap", 2, 1, 1, 3)
    assert (slow.wall_s, slow.wall_ratio, slow.cpu_ratio) == (20, 10, 10)


def test_one_run_that_did_not_do_the_work_fails_the_row() -> None:
    _, slow = figures([*SAMPLES, sample("slow", 1, failed="failed: h1: /x is not there")], measure="kbootstrap")
    assert (slow.failed, slow.wall_s) == ("failed: h1: /x is not there", 0)


def test_without_a_good_measure_there_is_no_ratio() -> None:
    rows = figures([sample("kbootstrap", 1, failed="failed: x"), sample("slow", 2)], measure="kbootstrap")
    assert [(row.contestant, row.wall_ratio) for row in rows] == [("kbootstrap", 0), ("slow", 0)]


def test_the_table_is_aligned_and_parted() -> None:
    lines = list(table(figures([*SAMPLES, sample("kbootstrap", 5, run="second")], measure="kbootstrap")))
    assert lines[0].split() == ["work", "run", "tool", "wall", "s", "×", "CPU", "s", "×", "hosts'", "CPU", "s", "MB", "sessions", "trips"]
    assert lines[2].split()[:6] == ["W1", "first", "slow", "20.00", "10.00", "10.00"]
    assert lines[3] == ""
    assert len({len(text) for text in lines if text}) == 1


def test_a_line_through_points() -> None:
    assert line([(10, 12.0), (100, 102.0), (1000, 1002.0)]) == pytest.approx((2, 1))
    assert line([(10, 5.0)]) == (5.0, 0.0)


def test_the_page_holds_every_figure_and_asks_nobody() -> None:
    rows = figures([*SAMPLES, sample("bad", 1, failed="failed: h1 <no>")], measure="kbootstrap")
    text = page(Results(made="today", facts={"seed": "1"}, titles={"W1": "20 files"}, rows={"2 hosts": rows}))
    assert "20.00 (× 10.0)" in text
    assert "h1 &lt;no&gt;" in text
    assert re.search(r"https?://|<script|src=", text) is None
