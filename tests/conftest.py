"""Which tests run: lab cases are marked, long ones sampled or resumed on request, and in CI a skip is a failure."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.outcome import FAILED
from tests.sampling import sample

LONG_S = 120.0  # of a long case that does not say
LAB = Path(__file__).parent / "lab"

settings.register_profile("here", deadline=None)  # a wall time says what else the machine does
settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long-s", type=float, default=None, help="run a sample of the long cases that takes about so many seconds; default: all")
    parser.addoption("--seed", type=int, default=None, help="which sample; default: KB_SEED, else a random one, printed")
    parser.addoption("--passed", type=Path, default=None, help="leave out the cases that this file names; add those that pass")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.pop("KB_RUNNER", None)  # `./inv test` sets it; what messages call the program is then as everywhere
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: fixtures take their hosts down
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us with & has it ignored, and tests send it
    seed = config.getoption("--seed")
    config.option.seed = int(os.environ.get("KB_SEED") or random.randrange(10**6)) if seed is None else seed  # noqa: S311  a sample, no secret


def pytest_report_header(config: pytest.Config) -> list[str]:
    if config.getoption("--long-s") is None:
        return []
    return [f"long cases: a sample of {config.getoption('--long-s'):.0f} s; --seed={config.option.seed} (or KB_SEED) repeats it"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(LAB):
            item.add_marker("lab")
    unwanted = _outside_sample(config, items) | _passed(config)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in unwanted])
    items[:] = [item for item in items if item.nodeid not in unwanted]


def _outside_sample(config: pytest.Config, items: list[pytest.Item]) -> set[str]:
    budget_s = config.getoption("--long-s")
    if budget_s is None:
        return set()
    marks = {item.nodeid: item.get_closest_marker("long") for item in items}
    costs_s = {nodeid: float(mark.kwargs.get("seconds", LONG_S)) for nodeid, mark in marks.items() if mark}
    return set(costs_s) - sample(costs_s, budget_s=budget_s, seed=config.option.seed)


def _passed(config: pytest.Config) -> set[str]:
    path = config.getoption("--passed")
    return set(path.read_text().splitlines()) if path and path.exists() else set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"skipped, which CI=true does not allow: {report.longrepr}"
    if report.failed and report.when == "call":
        item.stash[FAILED] = True
    path = item.config.getoption("--passed")
    if path and report.when == "call" and report.passed:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{item.nodeid}\n")
    return report
