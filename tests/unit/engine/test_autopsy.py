"""What becomes of an error on hosts: its causes, and one closed file; hosts that answer as told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from kbootstrap.engine import autopsy
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError, ConnectError, LockError, PreflightError, Problem, VerifyError
from kbootstrap.model.host import Host
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.store import autopsies
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import block
from kbootstrap.testing.fake_host import FakeHost, reading
from tests.unit.engine.test_status import ID, INVENTORY, healthy, unit, units

WORDS = (
    b"unit kubelet.service\n2026-11-21T20:00:00+00:00 w1 kubelet[7]: token: hunter2\n"
    b"2026-11-21T20:00:00+00:00 w1 kubelet[7]: Error: unknown flag: --bogus\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(root=tmp_path / "lab")
    found.root.mkdir()
    found.cluster_yml.write_text(yaml.safe_dump(INVENTORY))
    found.state.write_text(yaml.safe_dump({"cluster_id": ID}))
    return found


def connect(known: Prepared) -> Pool:
    """Everything is well but the kubelet of w1; m3 does not answer."""
    failed = unit("kubelet", active="activating", sub="auto-restart", result="exit-code")
    sick = {"units": (0, units("w1", kubelet=failed)), "words": (0, WORDS), "machine": (0, b"up 9000\ndisk 37% /\n")}

    def dial(host: Host) -> Connection:
        if host.name == "m3":
            raise ConnectError("no route to host")
        return FakeHost(host=host.name, scripts=[reading({**healthy(host.name), **(sick if host.name == "w1" else {})})])

    return Pool(known.spec.hosts, dial)


def test_an_error_gets_its_cause_and_its_file(folder: Folder) -> None:
    problems = [Problem(where="w1", what="gate/units-active failed (1): units-active: activating\nkubelet.service activating")]
    error = ApplyError("1 host failed: w1", problems=problems, hint="Mend the cause.")
    autopsy.examine(folder, connect, error, command="cluster.up", block=block)
    lines = block(error).splitlines()
    assert lines[:4] == [
        "error: 1 host failed: w1",
        "  w1  gate/units-active failed (1): units-active: activating",
        "  kubelet.service activating",
        "  Why:",
    ]
    assert lines[4].startswith("    w1  kubelet.service (activating exit-code): it does not know the flag --bogus. It said: ")
    assert lines[5:] == ["  Mend the cause.", f"  All that was seen, without secrets: {error.bundle}"]
    path = Path(error.bundle)
    assert path.parent == folder.autopsies
    assert path.name.endswith("-cluster.up.txt")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "hunter2" not in text
    assert "=== w1: last 2 lines of kubelet.service" in text
    assert "m3  master  cannot be read: no route to host" in text
    assert not autopsy.worth(error)


def test_a_host_that_cannot_be_read_any_more_is_said_in_the_file(folder: Folder) -> None:
    error = VerifyError("1 of 9 checks failed", problems=[Problem(where="etcd m3", what="no answer")])
    autopsy.examine(folder, connect, error, command="cluster.verify", block=block)
    assert "cannot be read: m3: no route to host" in Path(error.bundle).read_text()


@pytest.mark.parametrize("error", [PreflightError("x"), LockError("x"), ConnectError("x")])
def test_refusals_say_all_by_themselves(error: Exception) -> None:
    assert not autopsy.worth(error)  # type: ignore[arg-type]


def test_only_the_newest_stay(tmp_path: Path) -> None:
    for number in range(autopsies.KEPT + 3):
        autopsies.keep(tmp_path / "autopsy", f"20261121T2000{number:02d}Z-cluster.up", "x")
    assert sorted(path.name for path in (tmp_path / "autopsy").iterdir())[0].startswith("20261121T200003Z")
