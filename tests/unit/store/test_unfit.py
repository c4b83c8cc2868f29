"""A file or folder that the user names is refused before any work, as a mistake of the command line."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from kbootstrap.errors import LockError, UsageError
from kbootstrap.store import files, lock, snapshots
from kbootstrap.tasks._common import reported


def test_a_new_file(tmp_path: Path) -> None:
    files.refuse_unfit(tmp_path / "new", option="--to", taken="No.")
    with pytest.raises(UsageError, match="there is no folder") as refused:
        files.refuse_unfit(tmp_path / "none/x", option="--to")
    assert refused.value.hint.endswith(f"mkdir -p {tmp_path / 'none'}")
    (tmp_path / "old").touch()
    files.refuse_unfit(tmp_path / "old", option="--to")
    with pytest.raises(UsageError, match="exists; nothing was written"):
        files.refuse_unfit(tmp_path / "old", option="--to", taken="No.")


def test_a_folder_for_snapshots(tmp_path: Path) -> None:
    snapshots.refuse_unfit(tmp_path / "a/b")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, --to names a folder"):
        snapshots.refuse_unfit(tmp_path / "file/x")
    with pytest.raises(UsageError, match="there is no folder"):
        snapshots.refuse_unfit(tmp_path / "a/b", given=True)


def test_a_trace_without_a_folder_stops_the_task_before_its_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []
    with pytest.raises(Exit) as caught:
        reported(lambda: done.append(1))(timings=str(tmp_path / "none/t.json"))  # type: ignore[call-arg]
    assert (caught.value.code, done) == (UsageError.exit_code, [])
    assert f"there is no folder {tmp_path / 'none'}; nothing was written\n" in capsys.readouterr().err


def test_the_locks_holder_has_a_name_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert not lock.whoami("x").partition("@")[0].isdigit()


def test_while_a_question_waits_others_may_work_and_what_they_change_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "state.yml").write_text("one")
    with lock.hold(tmp_path, "first"), lock.aside(), lock.hold(tmp_path, "second"):
        (tmp_path / "autopsy").mkdir()
    changed = r"changed .*state.yml while it was asked; nothing was done"
    with pytest.raises(LockError, match=changed), lock.hold(tmp_path, "first"), lock.aside(), lock.hold(tmp_path, "second"):
        (tmp_path / "state.yml").write_text("three")
    assert not (tmp_path / ".lock.owner").exists()


def test_who_answers_while_another_run_works_is_told_of_it(tmp_path: Path) -> None:
    with ExitStack() as others:
        with pytest.raises(LockError, match="second"), lock.hold(tmp_path, "first"), lock.aside():
            others.enter_context(lock.hold(tmp_path, "second"))
        assert "second" in (tmp_path / ".lock.owner").read_text()
