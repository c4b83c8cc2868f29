"""``cluster.up`` fails on real hosts: one error block, the cause by name, the next command, and one file with all that was seen, without a secret."""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbootstrap import lab as labs
from kbootstrap.store import autopsies
from tests.lab.conftest import Cluster, OwnHosts

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 400.0  # a gate's patience, and the look afterwards
pytestmark = pytest.mark.lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """*plant* makes *unit* of *host* fail at its next start; *why* must be told, and *hint* is part of the repair."""

    name: str
    host: str
    unit: str
    plant: str
    why: str
    hint: str


def _beside(text: str) -> str:
    """A drop-in, which no ``up`` takes away."""
    folder = "/etc/systemd/system/@unit@.service.d"
    return f"mkdir -p {folder}; printf '[Service]\\n{text}\\n' >{folder}/90-planted.conf; systemctl daemon-reload; systemctl stop @unit@"


FAILURES = (
    Failure(
        name="flag",
        host="m1",
        unit="kube-scheduler",
        plant=_beside("ExecStart=\\nExecStart=/usr/local/bin/kube-scheduler --bogus=1"),
        why="it does not know the flag --bogus. It said: ",
        hint="inventory.show m1",
    ),
    Failure(
        name="port",
        host="w1",
        unit="kubelet",
        plant="systemctl stop kubelet; systemd-run -q --unit=squatter socat TCP-LISTEN:10250,fork,reuseaddr /dev/null; sleep 0.5",
        why="tcp 10250 (kubelet API) is held by pid ",
        hint="systemctl disable --now squatter.service",
    ),
    Failure(
        name="full",
        host="m1",
        unit="kube-apiserver",
        plant="systemctl stop kube-apiserver; mount -t tmpfs -o size=1m,nr_inodes=1,mode=0777 none /var/log/kubernetes",
        why="the disk is full",
        hint="df -h",
    ),
    Failure(
        name="certificate",
        host="w1",
        unit="kubelet",
        plant=_beside('ExecStartPre=/bin/sh -c "echo damaged >/etc/kubernetes/pki/kubelet-server.crt"'),
        why="a certificate or key that it reads is damaged",
        hint="certs.check",
    ),
    Failure(
        name="binary",
        host="w1",
        unit="kube-proxy",
        plant=_beside("ExecStart=\\nExecStart=/usr/local/bin/gone --config=x"),
        why="its program /usr/local/bin/gone is missing",
        hint="cluster.up",
    ),
    Failure(
        name="permission",
        host="m1",
        unit="etcd",
        plant=_beside("ExecStartPre=+/bin/chmod 000 /etc/etcd/pki/server.key"),
        why="it may not read or write /etc/etcd/pki/server.key",
        hint="ls -l",
    ),
)
UNDO = (
    "rm -rf /etc/systemd/system/@unit@.service.d/90-planted.conf; systemctl stop squatter 2>/dev/null"
    "; umount /var/log/kubernetes 2>/dev/null; systemctl daemon-reload; systemctl reset-failed"
)


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbdead", masters=1, workers=1) as found:
        found.up()
        yield found


def secrets(cluster: Cluster) -> set[str]:
    """Every line of every private key that the operator holds, and what a token or a key of Secrets looks like in a file."""
    texts = [path.read_text() for path in cluster.folder.pki.rglob("*") if path.is_file()]
    lines = {line for text in texts if "PRIVATE KEY" in text for line in text.splitlines() if len(line) > 30 and not line.startswith("-")}
    found = labs.execute(cluster.lab.host("m1"), ["cat", "/etc/kubernetes/encryption.yaml", "/etc/kubernetes/admin.conf"]).stdout
    keys = re.findall(r"(?:secret|key-data): *\"?([A-Za-z0-9+/=]{30,})", found)
    return lines | set(keys) | {base64.b64decode(key).decode("latin-1")[-40:] for key in keys}


def up(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kbootstrap", "cluster.up", "--cluster", cluster.folder.name, "--yes"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    place = cluster.folder.root.parents[1]
    return subprocess.run(argv, cwd=place, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.mark.parametrize("failure", [pytest.param(each, id=each.name, marks=pytest.mark.long(seconds=75)) for each in FAILURES])
def test_a_failure_is_told_with_its_cause_and_kept_whole_in_one_file(own: Cluster, failure: Failure) -> None:
    host = own.lab.host(failure.host)

    def inside(text: str) -> None:
        labs.execute(host, ["sh", "-c", text.replace("@unit@", failure.unit)])

    inside(failure.plant)
    try:
        done = up(own)
    finally:
        inside(UNDO)
    said = done.stderr
    assert done.returncode == 5, said
    assert len(re.findall(r"^error:", said, re.MULTILINE)) == 1, said
    block = said[re.search(r"^error:", said, re.MULTILINE).start() :]  # type: ignore[union-attr]  # just counted
    assert f"{failure.host}  {failure.unit}.service (" in block, block
    assert failure.why in block, block
    assert failure.hint in block, block
    assert "Traceback" not in said
    path = Path(re.findall(r"All that was seen, without secrets: (\S+)", block)[0])
    kept = own.folder.root.parents[1] / path
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    text = kept.read_text()
    assert failure.why in text
    assert f"lines of {failure.unit}.service" in text
    assert not [secret for secret in secrets(own) if secret in text + said]
    assert len(list(own.folder.autopsies.iterdir())) <= autopsies.KEPT
    own.up()


@pytest.mark.long(seconds=30)
def test_a_refusal_says_all_by_itself(own: Cluster) -> None:
    before = sorted(own.folder.autopsies.glob("*"))
    host = own.lab.host("w1")
    labs.execute(host, ["hostname", "web7"])
    try:
        done = up(own)
    finally:
        labs.execute(host, ["hostname", "w1"])
    assert done.returncode == 4, done.stderr
    assert "All that was seen" not in done.stderr
    assert sorted(own.folder.autopsies.glob("*")) == before
