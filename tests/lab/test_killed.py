"""The tool dies at any moment of ``up``, as by SIGKILL: the next ``up`` converges, the PKI is the same, and no lock is left."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from kbootstrap import lab as labs
from kbootstrap.catalog import names, paths
from kbootstrap.remote.lock import LOCK
from kbootstrap.store import pki_dir
from kbootstrap.store.folder import Folder
from tests.lab.conftest import Cluster, OwnHosts

REPOSITORY = Path(__file__).parents[2]
BARE_S = 35.0  # an installation takes about so long
MENDING_S = 8.0
LEFTOVERS = f"find /etc /opt /usr/local /var/lib/ku* {paths.STATE} -name '.*.kb-new' -o -name '.part-*' -o -path '{paths.BLOBS}/?*'"


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """One master and one worker, with an inventory below ``inventory/`` as the command line wants it."""
    with own_hosts("kbkill", masters=1, workers=1) as found:
        yield found


def kill_after(folder: Folder, delay_s: float) -> bool:
    """Whether ``cluster.up`` was still running when it was killed."""
    argv = [sys.executable, "-m", "kbootstrap", "cluster.up", "--cluster", folder.name, "--yes"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(argv, cwd=folder.root.parents[1], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def ca(folder: Folder) -> bytes:
    """The cluster's CA and its key, whole; nothing where there is none yet."""
    pki = pki_dir.load(folder.pki)
    return pki.ca(names.CLUSTER_CA).combined if names.CLUSTER_CA in pki.cas else b""


def damage(cluster: Cluster, rng: random.Random) -> float:
    """Something to do for ``up``, from little to everything; about how many seconds it takes."""
    what = rng.choice(["bare", "bare and no pki", "a host", "files"])
    if what == "files":
        for host in cluster.lab.hosts:
            labs.execute(host, ["sh", "-c", f"cd {paths.BIN}; rm -f kubelet kube-[cps]* /etc/kubernetes/*.conf; systemctl restart kube-proxy"])
        return MENDING_S
    for host in cluster.lab.hosts[-1:] if what == "a host" else cluster.lab.hosts:
        labs.bare(host)
    if what == "bare and no pki":
        shutil.rmtree(cluster.folder.pki, ignore_errors=True)
        cluster.folder.state.unlink(missing_ok=True)
        cluster.folder.admin_conf.unlink(missing_ok=True)
    return BARE_S


@pytest.mark.parametrize("seed", [pytest.param(n, id=f"moment{n}", marks=pytest.mark.long(seconds=75)) for n in range(20)])
def test_the_next_up_makes_it_whole(own: Cluster, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  a moment, no secret
    usual_s = damage(own, rng)
    delay_s = rng.uniform(0.2, usual_s)
    killed = kill_after(own.folder, delay_s)
    before = ca(own.folder)
    with FileLock(own.folder.root / ".lock", timeout=0):
        pass
    outcome = own.up()
    assert killed or not outcome.applied, "a run that ended by itself left nothing to do"
    assert ca(own.folder) == before or not before
    assert own.plan().picture.plan.empty
    for host in own.lab.hosts:
        assert labs.execute(host, ["flock", "-n", LOCK, "true"]).returncode == 0, "the lock of a dead run"
        assert labs.execute(host, ["sh", "-c", LEFTOVERS]).stdout == ""


@pytest.mark.long(seconds=120)
def test_a_run_that_follows_at_once_meets_no_changes_under_way(own: Cluster) -> None:
    """What was cut off lives on for some seconds on a host; the next run must not read in between."""
    own.up()
    for delay_s in (1.0, 1.5, 2.0, 2.5):
        damage(own, random.Random(0))  # noqa: S311
        began = time.monotonic()
        kill_after(own.folder, delay_s)
        assert time.monotonic() - began < 60
        own.up()
