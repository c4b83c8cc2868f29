"""The benchmark's driver, as it runs: two hosts, no peers, a table, a file for programs and a page for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import driver
from bench.driver import Wish


def test_a_run_leaves_a_table_samples_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(driver, "RESULTS", tmp_path / "results")
    wish = Wish(hosts=2, rounds=1, contestants=("kbootstrap", "batch"), works=("W3",), delayed=("W3",), seed=1)
    assert driver.run(wish) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "2 hosts, 20 ms away" in said
    data = json.loads(next((tmp_path / "results").glob("*.json")).read_text())
    assert {(s["contestant"], s["failed"]) for some in data["samples"].values() for s in some} == {("kbootstrap", ""), ("batch", "")}
    assert all(s["cpu_s"] > 0 and s["hosts_cpu_s"] > 0 for some in data["samples"].values() for s in some)
    assert next((tmp_path / "results").glob("*.html")).read_text().count("<svg") == 4


def test_names_that_are_none_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert driver.asked(hosts=1, rounds=1, peers="chef", works="W1", seed=-1, scale="", short=False) == 2
    assert capsys.readouterr().out.startswith("There is no chef. Peers: kbootstrap, batch")
