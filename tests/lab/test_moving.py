"""A cluster changes operators: exported on one machine, imported on another, where nothing is to be done and everything can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kbootstrap.store.artifacts import default_cache
from tests.lab.conftest import OwnHosts

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]


def run(place: Path, *command: str, code: int = 0) -> str:
    """A command of an operator who lives in *place*: his home, and the folder that he works in."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HOME": str(place), "XDG_CACHE_HOME": str(default_cache().parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "kbootstrap", *command], cwd=place, env=environment, capture_output=True, text=True, timeout=400, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.long(seconds=60)
def test_the_next_operator_finds_nothing_to_do(own_hosts: OwnHosts, tmp_path: Path) -> None:
    with own_hosts("kbmove", masters=1, workers=1) as own:
        own.up()
        here, there, name = own.folder.root.parents[1], tmp_path / "there", own.folder.name
        there.mkdir()
        for place in (here, there):
            (place / "word").write_text("correct horse battery\n")
            (place / "word").chmod(0o600)
        own.kubectl("create", "configmap", "canary", "--from-literal=a=b")
        said = run(here, "cluster.export", "--cluster", name, "--to", "x.kbexport", "--snapshot", "--passphrase-file", "word")
        assert "a snapshot of etcd among them, read back and compared" in said
        (here / "x.kbexport").rename(there / "x.kbexport")
        said = run(there, "cluster.import", "x.kbexport", "--passphrase-file", "word")
        assert f"inventory/{name}/ssh/id_ed25519 (m1, w1)" in said
        assert f"Next: kbootstrap cluster.plan --cluster {name}" in said
        inventory = there / "inventory" / name
        assert len(list(inventory.glob("snapshots/*.db"))) == 1
        said = run(there, "cluster.plan", code=3)  # his own keys are not there yet: said, not a crash
        assert "id_ed25519" in said
        shutil.copytree(own.folder.root / "ssh", inventory / "ssh")
        shutil.copy(own.folder.root / "sudo.pass", inventory / "sudo.pass")
        assert "Nothing to do" in run(there, "cluster.plan")
        run(there, "cluster.verify")
        assert "0 changes" in run(there, "cluster.up", "--yes")
        run(there, "kubeconfig.check")
