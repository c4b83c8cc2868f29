"""Settings of the machine are recorded once, and put back by the last lab that goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import KbError
from kbootstrap.lab import machine, network


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like /proc/sys, and a cache of its own."""
    for setting in machine.SETTINGS:
        path = tmp_path / "sys" / setting.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n")
    (tmp_path / "cache/kbootstrap/lab").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(machine, "KERNEL", tmp_path / "sys")
    monkeypatch.setattr(network, "is_mounted", lambda: True)
    return tmp_path / "sys"


def test_what_kubelet_and_the_lab_change_is_put_back(kernel: Path) -> None:
    machine.remember()
    machine.prepare()
    (kernel / "kernel/panic").write_text("10\n")
    assert sorted(machine.changed()) == [("fs.inotify.max_user_instances", "1", "2048"), ("kernel.panic", "1", "10")]
    assert sorted(machine.restore()) == ["fs.inotify.max_user_instances: 2048 back to 1", "kernel.panic: 10 back to 1"]
    assert (kernel / "kernel/panic").read_text() == "1"


def test_a_second_lab_does_not_record_what_the_first_one_changed(kernel: Path) -> None:
    machine.remember()
    (kernel / "kernel/panic").write_text("10\n")
    machine.remember()
    assert list(machine.changed()) == [("kernel.panic", "1", "10")]


def test_restoring_twice_changes_nothing_more(kernel: Path) -> None:
    machine.remember()
    list(machine.restore())
    (kernel / "kernel/panic").write_text("7\n")
    assert list(machine.restore()) == []
    assert (kernel / "kernel/panic").read_text() == "7\n"


def test_a_higher_limit_of_the_machine_stays(kernel: Path) -> None:
    (kernel / "fs/inotify/max_user_instances").write_text("8192\n")
    machine.prepare()
    assert (kernel / "fs/inotify/max_user_instances").read_text() == "8192\n"


def test_without_root_the_command_that_helps_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda tool: None if tool in ("debootstrap", "systemd-nspawn") else f"/bin/{tool}")
    said: list[str] = []
    with pytest.raises(KbError) as caught:
        machine.equip(said.append)
    assert "apt-get install -y --no-install-recommends debootstrap systemd-container" in caught.value.message
    assert "sudo" in caught.value.hint
    assert said == []
