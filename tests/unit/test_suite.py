"""The test runner's own promises: a sample that its seed repeats, steps that end, a skip that CI does not take for a success."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import suite
from tests.sampling import sample

COSTS = st.dictionaries(st.text(max_size=5), st.floats(min_value=1, max_value=900), max_size=20)


@given(COSTS, st.integers(0, 10**6))
def test_a_sample_fits_its_budget_and_its_seed_repeats_it(costs_s: dict[str, float], seed: int) -> None:
    chosen = sample(costs_s, budget_s=600, seed=seed)
    assert sum(costs_s[name] for name in chosen) <= 600 + 1e-6
    assert chosen == sample(dict(reversed(costs_s.items())), budget_s=600, seed=seed)
    assert all(costs_s[name] > 600 - sum(costs_s[other] for other in chosen) - 1e-6 for name in set(costs_s) - chosen), "room is left unused"


def test_every_case_has_its_turn() -> None:
    costs_s = {f"case{n}": 100.0 for n in range(20)}
    assert set().union(*(sample(costs_s, budget_s=600, seed=seed) for seed in range(50))) == set(costs_s)


def test_summaries_add_up() -> None:
    lines = ["3 failed, 1022 passed, 1 skipped in 206.71s (0:03:26)", "=== 20 passed, 4 deselected, 1 error in 9.0s ==="]
    assert suite.total(lines, 300) == "3 failed, 1042 passed, 1 skipped, 4 deselected, 1 error in 300.0s"
    assert suite.total([], 1) == "no tests ran in 1.0s"


def test_the_seed_of_the_sample_is_said_and_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_SEED", "7")
    last = list(suite.steps(long=False, lab=True))[-1]
    assert "KB_SEED=7" in last.name
    assert "--seed=7" in last.argv
    assert not [each.name for each in suite.steps(long=False, lab=False) if "lab" in each.name]


def step(code: str, limit_s: float = 60) -> suite.Step:
    return suite.Step(name="a step", argv=(sys.executable, "-c", code), limit_s=limit_s)


def test_a_step_that_fails_shows_what_it_said() -> None:
    assert suite.execute(step("import sys; print('why'); sys.exit(3)")) == (3, "why\n")


def test_a_step_that_takes_too_long_is_asked_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    cleans_up = (
        "import signal, time; signal.signal(15, signal.default_int_handler)\ntry:\n time.sleep(60)\nexcept KeyboardInterrupt: print('hosts are down')"
    )
    code, output = suite.execute(step(cleans_up + "; raise SystemExit(2)", limit_s=2))
    assert (code, output) == (2, "hosts are down\n")
    assert "a step: not done after 2 s" in capsys.readouterr().out


def test_ctrl_c_ends_the_step_too() -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        suite.execute(step("import time; time.sleep(60)"))
    assert time.monotonic() - began < 30


def pytest_on(folder: Path, *options: str, **environment: str) -> str:
    (folder / "test_it.py").write_text(
        "import pytest\n"
        "def test_fine(): pass\n"
        "@pytest.mark.skip(reason='no go here')\n"
        "def test_skipped(): pass\n"
        "@pytest.mark.long(seconds=400)\n@pytest.mark.parametrize('n', range(5))\n"
        "def test_long(n): pass\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = long: long\n")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder), *options]
    settings = {name: value for name, value in os.environ.items() if name not in ("CI", "KB_SEED")} | environment
    return subprocess.run(argv, cwd=suite.ROOT, env=settings, capture_output=True, text=True, check=False).stdout


def test_a_skip_is_a_failure_in_ci_only(tmp_path: Path) -> None:
    assert "6 passed, 1 skipped" in pytest_on(tmp_path)
    said = pytest_on(tmp_path, CI="true")
    assert "6 passed, 1 error" in said
    assert "no go here" in said


def test_long_cases_are_sampled_by_a_printed_seed(tmp_path: Path) -> None:
    first = pytest_on(tmp_path, "--long-s=900", "-v", KB_SEED="7")
    assert "a sample of 900 s; --seed=7 (or KB_SEED) repeats it" in first
    assert "3 passed, 1 skipped, 3 deselected" in first
    again = pytest_on(tmp_path, "--long-s=900", "-v", "--seed=7")
    assert [line for line in first.splitlines() if "PASSED" in line] == [line for line in again.splitlines() if "PASSED" in line]


def test_a_long_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    passed = tmp_path / "cache/passed"
    assert "6 passed, 1 skipped" in pytest_on(tmp_path, f"--passed={passed}")
    assert "1 skipped, 6 deselected" in pytest_on(tmp_path, f"--passed={passed}")
