"""A file or folder that the user names is refused before any work, as a mistake of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from kbootstrap.errors import UsageError
from kbootstrap.store import files, lock, snapshots
from kbootstrap.tasks._common import reported


def test_a_new_file(tmp_path: Path) -> None:
    files.refuse_unfit(tmp_path / "new", option="--to", taken="No.")
    with pytest.raises(UsageError, match="has no folder to lie in"):
        files.refuse_unfit(tmp_path / "none/x", option="--to")
    (tmp_path / "old").touch()
    files.refuse_unfit(tmp_path / "old", option="--to")
    with pytest.raises(UsageError, match="exists; nothing was written"):
        files.refuse_unfit(tmp_path / "old", option="--to", taken="No.")


def test_a_folder_for_snapshots(tmp_path: Path) -> None:
    snapshots.refuse_unfit(tmp_path / "a/b")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file, --to names a folder"):
        snapshots.refuse_unfit(tmp_path / "file/x")


def test_a_trace_without_a_folder_stops_the_task_before_its_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []
    with pytest.raises(Exit) as caught:
        reported(lambda: done.append(1))(timings=str(tmp_path / "none/t.json"))  # type: ignore[call-arg]
    assert (caught.value.code, done) == (UsageError.exit_code, [])
    assert "t.json has no folder to lie in\n  --timings names the file" in capsys.readouterr().err


def test_the_locks_holder_has_a_name_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert not lock.whoami("x").partition("@")[0].isdigit()
