"""Another key seals the secrets in etcd: under load, killed behind each step, undone by an old snapshot; and what must not be done by hand."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_restore, etcd_snapshot, run, secrets_rotate
from kbootstrap.errors import PreflightError
from kbootstrap.model.sealing import Sealing
from kbootstrap.pki import sealing
from kbootstrap.pki.sealing import Phase
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.store import pki_dir
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.etcd import inside
from tests.lab.test_certs import nothing_lost, under_load

REPOSITORY = Path(__file__).parents[2]
MANY = 450  # three pages
ROTATED_S = 600.0
STEPS = (secrets_rotate.READ, secrets_rotate.WRITE, secrets_rotate.REWRITE, secrets_rotate.DROP)


def keys(cluster: Cluster) -> Sealing:
    return pki_dir.load(cluster.folder.pki).sealing


def plant(cluster: Cluster, count: int, mark: str) -> None:
    items = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"canary-{number}"}, "stringData": {"mark": f"{mark}-{number}"}}
        for number in range(count)
    ]
    cluster.kubectl("apply", "--server-side", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def unharmed(cluster: Cluster, count: int, mark: str) -> None:
    found = json.loads(cluster.kubectl("get", "secrets", "-o", "json"))["items"]
    marks = {item["metadata"]["name"]: base64.b64decode(item["data"]["mark"]).decode() for item in found if "mark" in item["data"]}
    assert marks == {f"canary-{number}": f"{mark}-{number}" for number in range(count)}


def raw(cluster: Cluster) -> dict[str, bytes]:
    """Every secret as it lies in etcd, asked without any of the product's own words: path → how its value begins."""
    ask = etcdctl(inventory.load(cluster.folder.cluster_yml).host("m1"))
    rows = json.loads(inside(cluster, "m1", f"{ask} --command-timeout=30s get /registry/secrets/ --prefix -w json"))["kvs"]
    return {base64.b64decode(row["key"]).decode(): base64.b64decode(row["value"])[:64] for row in rows}


def sealed_by_the_last_alone(cluster: Cluster) -> None:
    """In etcd, on every master's disk, and as ``secrets.show`` tells it."""
    now = keys(cluster)
    assert sealing.phase(now) is Phase.IDLE
    (writer,) = now.readers
    found = raw(cluster)
    assert [path for path, value in found.items() if not value.startswith(f"k8s:enc:secretbox:v1:{writer.name}:".encode())] == []
    shown = secrets_rotate.show(cluster.request())
    assert (shown.ok, shown.counts) == (True, {writer.name: len(found)})
    for host in cluster.lab.masters:
        text = inside(cluster, host.name, f"cat {paths.ENCRYPTION_CONFIG}")
        assert text.count("secret: ") == 1
        assert base64.b64encode(writer.secret).decode() in text
    assert cluster.plan().picture.plan.empty


@pytest.fixture(scope="module")
def three(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbsec", masters=3, workers=0) as found:
        found.up()
        yield found


@pytest.fixture(scope="module")
def one(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbseal", masters=1, workers=0) as found:
        found.up()
        yield found


@pytest.mark.long(seconds=170)
def test_all_secrets_get_another_key_and_no_request_is_lost(three: Cluster, record_testsuite_property: Callable[[str, object], None]) -> None:
    plant(three, MANY, "rotated")
    old = keys(three)
    began = time.monotonic()
    with under_load(three, "m1") as load:
        outcome = secrets_rotate.run(three.request())
    record_testsuite_property("secrets.rotate", {"seconds": round(time.monotonic() - began, 1), "secrets": sum(outcome.counts.values())})
    assert [step.title for step in outcome.steps] == list(STEPS)
    assert [str(result) for result in outcome.results if not result.ok] == []
    nothing_lost(load, record_testsuite_property)
    assert keys(three).retired == old.readers
    sealed_by_the_last_alone(three)
    unharmed(three, MANY, "rotated")
    verified = run.verify(three.request())
    assert [str(result) for result in verified.results if not result.ok] == []


_KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from kbootstrap.engine import secrets_rotate
from kbootstrap.model.events import ChangeStarted, StageFinished, StageStarted
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request

step, folder = sys.argv[1:]
seen = set()

def listen(event):
    if isinstance(event, StageStarted):
        seen.add(event.stage)
    # behind the last one nothing is left to finish: there the run ends in the middle of it
    within = step == "DROP" and "DROP" in seen and isinstance(event, ChangeStarted)
    if within or (step != "DROP" and isinstance(event, StageFinished) and event.stage == step):
        os.kill(os.getpid(), signal.SIGKILL)

with _request.open_(Folder(root=Path(folder)), quiet=True, ask=False, fd=-1) as request:
    secrets_rotate.run(replace(request, listener=listen))
"""


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.long(seconds=60)) for step in STEPS])
def test_killed_behind_a_step_the_same_command_finishes(one: Cluster, step: str) -> None:
    mark = step.lower()
    plant(one, 20, mark)
    old = keys(one)
    argv = [sys.executable, "-c", _KILLED, step, str(one.folder.root)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=ROTATED_S, check=False)
    assert done.returncode == -9, done.stderr
    unharmed(one, 20, mark)
    outcome = secrets_rotate.run(one.request())
    assert [each.title for each in outcome.steps] == list(STEPS[STEPS.index(step) if step != "REWRITE" else 1 :]), "what was left, and no more"
    assert keys(one).retired == (*old.retired, *old.readers), "one rotation, not two"
    inside(one, "m1", f"chmod 0640 {paths.ENCRYPTION_CONFIG}")
    assert [each.title for each in secrets_rotate.run(one.request(), dry=True).steps] == list(STEPS), "a host's drift is no rest of a rotation"
    inside(one, "m1", f"chmod 0600 {paths.ENCRYPTION_CONFIG}")
    sealed_by_the_last_alone(one)
    unharmed(one, 20, mark)


def told(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """A command as a user calls it."""
    argv = [sys.executable, "-m", "kbootstrap", arguments[0], "--cluster", cluster.folder.name, *arguments[1:]]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(argv, cwd=cluster.folder.root.parents[1], env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long(seconds=15)
def test_the_commands_say_what_is_and_what_would_be(one: Cluster) -> None:
    plant(one, 20, "told")
    (writer,) = keys(one).readers
    code, said = told(one, "secrets.show", "--json")
    found = json.loads(said)
    assert (code, found["writer"], found["phase"], found["ok"]) == (0, writer.name, "idle", True)
    assert found["counts"][writer.name] >= 20
    code, said = told(one, "secrets.rotate", "--dry-run")
    assert code == 10
    assert [line.split(":")[0] for line in said.splitlines() if line.split(":")[0] in STEPS] == list(STEPS)
    assert "restarts kube-apiserver on m1" in said
    assert keys(one).readers == (writer,)
    assert base64.b64encode(writer.secret).decode() not in said


def refused(cluster: Cluster, work: Callable[[], object]) -> None:
    before = inside(cluster, "m1", f"sha256sum {paths.ENCRYPTION_CONFIG}; systemctl show -p InvocationID kube-apiserver")
    with pytest.raises(PreflightError, match="nothing was changed") as caught:
        work()
    assert [problem.where for problem in caught.value.problems if "encryption-key" in problem.what] == ["m1"]
    assert inside(cluster, "m1", f"sha256sum {paths.ENCRYPTION_CONFIG}; systemctl show -p InvocationID kube-apiserver") == before


@pytest.mark.long(seconds=15)
def test_a_key_that_was_changed_by_hand_is_refused(one: Cluster) -> None:
    path = one.folder.pki / "encryption.key"
    kept = path.read_bytes()
    path.write_bytes(base64.b64encode(bytes(range(32))) + b"\n")
    try:
        for work in (one.plan, one.up, lambda: secrets_rotate.run(one.request())):
            refused(one, work)
    finally:
        path.write_bytes(kept)
    assert one.plan().picture.plan.empty


@pytest.mark.long(seconds=95)
def test_a_snapshot_from_before_brings_its_key_back(one: Cluster) -> None:
    plant(one, 20, "before")
    old = keys(one).readers[0]
    taken = etcd_snapshot.snapshot(one.request())
    assert taken.snapshot.sealed_by == (old.fingerprint,)
    assert secrets_rotate.run(one.request()).agreed
    plant(one, 20, "behind")
    assert etcd_restore.restore(one.request(), taken.path, etcd_restore.Asked(replace=True)).applied
    unharmed(one, 20, "before")
    now = keys(one)
    assert now.former == old
    assert old not in now.retired
    assert one.plan().picture.plan.empty
    shown = secrets_rotate.show(one.request())
    assert not shown.ok
    assert old.name in shown.counts
    ended = secrets_rotate.run(one.request())
    assert [step.title for step in ended.steps] == list(STEPS[1:])
    sealed_by_the_last_alone(one)
    unharmed(one, 20, "before")
