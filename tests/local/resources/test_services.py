"""Restart by comparison: the record that a real unit's ``ExecStartPre=`` writes, read back by the probe, and every reason to restart."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.resource import Service
from kbootstrap.remote.local import LocalConnection
from kbootstrap.render.context import Inputs
from kbootstrap.resources import service
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.rendered import Rendered, program

SPEC = a_cluster()
TEMPLATES = Path(__file__).parents[3] / "templates"
STATE = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nId=kubelet.service\nUnitFileState=enabled\nNeedDaemonReload=no\nInvocationID=c0ffee\n"
)


@dataclass
class Daemon:
    """A kubelet whose inputs lie in a tmp dir; systemd is what answers as it does for a running, enabled unit."""

    root: Path

    def __post_init__(self) -> None:
        self.config, self.binary, self.unit = self.root / "config.yaml", self.root / "kubelet", self.root / "units/kubelet.service"
        self.unit.parent.mkdir()
        for path in (self.config, self.binary):
            path.write_text(f"{path.name}\n")
        rendered = Rendered(root=TEMPLATES, spec=SPEC, host=SPEC.host("m1"))
        inputs = Inputs(unit="kubelet.service", files=(str(self.config),), binaries=(str(self.binary),))
        places = {"RUN": str(self.root / "run"), "UNITS": str(self.unit.parent)}
        self.unit.write_text(rendered.text("kubelet/kubelet.service.j2", inputs, paths=places))
        self.want = self.wanted()

    def wanted(self) -> Service:
        digests = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (self.config, self.unit)}
        return Service(name="kubelet.service", inputs=digests, binaries=(str(self.binary),))

    def start(self) -> None:
        """What systemd runs before the daemon."""
        subprocess.run(["sh", "-c", program(self.unit.read_text(), "ExecStartPre", ".started")], check=True, env={"PATH": os.environ["PATH"]})

    def seen(self) -> service.Seen:
        text = f"systemctl() {{ printf '%s' '{STATE}'; }}\n{service.probe(['kubelet.service'])}".replace(paths.RUN, str(self.root / "run"))
        running = LocalConnection().run(text)
        output = b"\n".join(running.lines()).decode()
        assert running.finish().exit_code == 0
        return service.parse(output)["kubelet.service"]

    def reason(self) -> str:
        difference = service.diff(self.want, self.seen())
        return difference.reason if difference else ""


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path)


def test_what_was_started_with_the_wanted_inputs_stays(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.reason() == ""
    assert {Path(path).name for path in daemon.seen().started} == {"config.yaml", "kubelet", "kubelet.service"}


def test_without_a_record_it_restarts(daemon: Daemon) -> None:
    assert daemon.reason() == "restart: not known what it was started with"


def test_an_input_that_was_another_at_the_start(daemon: Daemon) -> None:
    daemon.config.write_text("edited\n")
    daemon.start()
    daemon.config.write_text("config.yaml\n")
    assert daemon.reason() == f"restart: started with another {daemon.config}"


def test_an_input_that_is_edited_and_put_back_is_no_reason(daemon: Daemon) -> None:
    daemon.start()
    daemon.config.write_text("edited\n")
    assert daemon.reason() == "", "the file is another change; the daemon runs with the right one"
    daemon.config.write_text("config.yaml\n")
    assert daemon.reason() == ""


def replaced(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes())
    new.rename(path)


@pytest.mark.parametrize("change", [Path.unlink, Path.touch, replaced])
def test_a_binary_that_is_another_file_now(daemon: Daemon, change: Callable[[Path], None]) -> None:
    os.utime(daemon.binary, (1, 1))
    daemon.start()
    assert daemon.reason() == ""
    change(daemon.binary)
    assert daemon.reason() == f"restart: started with another {daemon.binary}"


def test_a_damaged_record_is_no_record_of_what_it_lost(daemon: Daemon) -> None:
    daemon.start()
    record = daemon.root / "run/kubelet.service.started"
    lines = record.read_text().splitlines(keepends=True)
    for damaged in (lines[:1], [], ["\0\xff garbage\n"], [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]):
        record.write_text("".join(damaged))
        assert daemon.reason().startswith("restart: ")
    record.write_text("".join(lines))
    assert daemon.reason() == ""


def test_a_start_that_fails_leaves_the_former_record(daemon: Daemon) -> None:
    daemon.start()
    record = daemon.root / "run/kubelet.service.started"
    before = record.read_text()
    daemon.binary.unlink()
    with pytest.raises(subprocess.CalledProcessError):
        daemon.start()
    assert record.read_text() == before


SHOW = """\
Id=etcd.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
NeedDaemonReload=yes
InvocationID=f2a0e4b1d5c94e0f8a7b6c5d4e3f2a10

Id=kubelet.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
NeedDaemonReload=no
InvocationID=

Id=kb-routes.service
LoadState=loaded
ActiveState=active
SubState=exited
UnitFileState=enabled-runtime
NeedDaemonReload=no
InvocationID=
started etcd.service
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  /etc/systemd/system/etcd.service
131 25000000 1700000000 1700000001 /usr/local/bin/etcd
started kb-routes.service
now
131 25000000 1700000000 1700000001 /usr/local/bin/etcd
"""


def test_the_answer_of_a_real_systemctl_is_understood() -> None:
    seen = service.parse(SHOW)
    assert set(seen) == {"etcd.service", "kb-routes.service"}, "what systemd does not know is not there"
    assert (seen["etcd.service"].active, seen["etcd.service"].state["NeedDaemonReload"]) == (True, "yes")
    assert set(seen["etcd.service"].started) == {"/etc/systemd/system/etcd.service", "/usr/local/bin/etcd"}
    assert seen["etcd.service"].now == {"/usr/local/bin/etcd": "131 25000000 1700000000 1700000001"}
    assert seen["kb-routes.service"].started == {}


@pytest.mark.parametrize("output", ["", "\n", "Failed to connect to bus: No such file or directory\n"])
def test_no_systemd_is_no_unit(output: str) -> None:
    assert service.parse(output) == {}
