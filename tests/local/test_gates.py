"""Gates on a real shell: patient while systemd works, content once the condition holds, and word of the units when it does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kbootstrap.plan.checks import gates
from kbootstrap.remote.local import LocalConnection

SYSTEMD = """\
systemctl() {{
  case "$*" in
  'show -p NRestarts --value '*) if [ -e {looping} ]; then echo >>{looping}; wc -l <{looping}; else echo 0; fi ;;
  'show -p Job --value '*) [ ! -s {jobs} ] || {{ sed -n 1p {jobs}; sed -i 1d {jobs}; }} ;;
  *) echo "Id=x.service ActiveState=activating" ;;
  esac
}}
journalctl() {{ cat {looping}.words; }}
"""


def run(tmp_path: Path, condition: str, *, jobs: str = "", deadline_s: int = 20, then: str = "") -> tuple[int, list[str]]:
    """Exit code and output of a gate, as a change's step runs it, with a payload that is not its own."""
    (tmp_path / "jobs").write_text(jobs)
    gate = gates.wait("x-answers", condition, ["x.service", "y.service"], deadline_s, then=then)
    systemd = SYSTEMD.format(jobs=tmp_path / "jobs", looping=tmp_path / "looping")
    running = LocalConnection().run(f"set -e\n{systemd}{gate.text}", payload=(b"the others' payload",))
    lines = [line.decode() for line in running.lines()]
    return running.finish().exit_code, lines


def test_it_ends_as_soon_as_the_condition_holds(tmp_path: Path) -> None:
    assert run(tmp_path, "true") == (0, [])


def test_it_asks_again_until_then(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    assert run(tmp_path, f"echo >> {asked}; [ $(wc -l < {asked}) -ge 3 ]")[0] == 0
    assert len(asked.read_text().splitlines()) == 3


def test_it_does_not_ask_the_old_process_while_a_restart_is_queued(tmp_path: Path) -> None:
    assert run(tmp_path, f"[ ! -s {tmp_path}/jobs ]", jobs="523\n523\n523\n") == (0, [])


@pytest.mark.parametrize("jobs", ["", "7\n" * 1000])
def test_time_up_is_a_failure_with_the_last_answer_and_the_units_states(tmp_path: Path, jobs: str) -> None:
    began = time.monotonic()
    code, lines = run(tmp_path, "echo connection refused; false", jobs=jobs, deadline_s=1)
    assert code == 1
    assert lines[0] == ("x-answers: systemd is still at work" if jobs else "x-answers: connection refused")
    assert len([line for line in lines if "ActiveState=activating" in line]) == 2
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("words", "early"), [("Error: unknown flag: --bogus", True), ("connection refused", False)])
def test_a_unit_that_ends_again_and_again_is_waited_for_only_where_that_may_help(tmp_path: Path, words: str, early: bool) -> None:
    (tmp_path / "looping").touch()
    (tmp_path / "looping.words").write_text(f"{words}\n")
    began = time.monotonic()
    code, lines = run(tmp_path, "echo no; false", deadline_s=1000 if early else 8)
    assert (code, lines[0]) == (1, "x-answers: no")
    assert early or time.monotonic() - began > 7


def test_a_condition_cannot_read_what_is_meant_for_others(tmp_path: Path) -> None:
    assert run(tmp_path, f"cat > {tmp_path}/eaten") == (0, [])
    assert (tmp_path / "eaten").read_bytes() == b""


def test_what_comes_then_comes_once_the_condition_held(tmp_path: Path) -> None:
    assert run(tmp_path, f"touch {tmp_path}/held", then=f"[ -e {tmp_path}/held ] && echo then\n") == (0, ["then"])
