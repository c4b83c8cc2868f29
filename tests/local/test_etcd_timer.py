"""The units of ``etcd.timer`` as systemd and a shell read them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kbootstrap.engine import etcd_timer
from kbootstrap.errors import UsageError
from kbootstrap.store.folder import Folder

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Of a cluster below a place whose name needs care in a unit."""
    place = tmp_path / "my 100% place"
    (place / "inventory/prod").mkdir(parents=True)
    monkeypatch.chdir(place)
    return Folder(root=Path("inventory/prod"))


@needs_systemd
def test_systemd_has_nothing_to_say(folder: Folder) -> None:
    units = etcd_timer.write(folder)
    argv = ["systemd-analyze", "--man=no", "verify", str(units.service), str(units.timer)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    mine = [line for line in (done.stdout + done.stderr).splitlines() if "etcd-snapshot" in line]
    assert mine == []


def test_they_say_all_that_a_snapshot_needs(folder: Folder, tmp_path: Path) -> None:
    units = etcd_timer.write(folder, at="hourly", keep=3, to=tmp_path)
    service, timer = units.service.read_text(), units.timer.read_text()
    assert f"ExecStart={sys.executable} -m kbootstrap etcd.snapshot --cluster prod --keep 3 --to {tmp_path}\n" in service
    assert f"WorkingDirectory={tmp_path}/my 100%% place\n" in service
    assert "OnCalendar=hourly\n" in timer
    assert units.timer.stem == units.service.stem == "etcd-snapshot-prod"


def test_what_somebody_wrote_into_one_stays_beside_it(folder: Folder) -> None:
    units = etcd_timer.write(folder)
    etcd_timer.write(folder)
    previous = units.timer.with_name(units.timer.name + ".previous")
    assert not previous.exists()
    units.timer.write_text("mine\n")
    etcd_timer.write(folder)
    assert previous.read_text() == "mine\n"


@pytest.mark.parametrize("at", ["", " ", "hourly\nUnit=other.service", pytest.param("next spring", marks=needs_systemd)])
def test_what_is_no_time_is_refused_and_nothing_is_written(folder: Folder, at: str) -> None:
    with pytest.raises(UsageError, match="is no time") as refused:
        etcd_timer.write(folder, at=at)
    assert "systemd.time" in refused.value.hint
    assert list(folder.root.iterdir()) == []


def test_what_a_snapshot_would_refuse_every_night_is_refused_now(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--keep"):
        etcd_timer.write(folder, keep=-1)
    with pytest.raises(UsageError, match="no folder"):
        etcd_timer.write(folder, to=tmp_path / "absent")
    assert list(folder.root.iterdir()) == []
