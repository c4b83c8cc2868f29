"""A rotation that is killed at each of its boundaries, and pods that run since before: one client reads the CA again, another does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap.catalog import names
from kbootstrap.engine import cluster as api
from kbootstrap.engine import prepare, rotate, run
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import SERVICE_ACCOUNT, Pki
from kbootstrap.pki.rotate import Phase, phase
from kbootstrap.store import artifacts, pki_dir
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.test_failover import opened

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]
CA = names.CLUSTER_CA
DEADLINE_S = 300.0
TOOLS = "/root/tools"  # on the worker: a kubectl for the pods' clients

# The image of the test server is the only one at hand and holds no shell: these bring the host's.
_CLIENT = """\
d=/var/run/secrets/kubernetes.io/serviceaccount; cp $d/ca.crt $d/token /tmp/; cd {folder}
while :; do
  /tools/kubectl --server=https://$KUBERNETES_SERVICE_HOST:443 --certificate-authority=ca.crt --token="$(cat token)" --cache-dir=/tmp/cache \\
    --request-timeout=5s get --raw /version >/dev/null 2>/tmp/error && echo works || { echo "fails: $(tail -n 1 /tmp/error)"; }
  sleep 1
done
"""
CLIENTS = {"reads-again": "/var/run/secrets/kubernetes.io/serviceaccount", "keeps": "/tmp"}


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """One master and one worker, with an inventory below ``inventory/`` as the command line wants it."""
    with own_hosts("kbrot", masters=1, workers=1) as found:
        found.up()
        yield found


def rotated(cluster: Cluster, **options: bool) -> rotate.Outcome:
    return rotate.run(cluster.request(), rotate.Asked(name=CA, **options))


def killed_at(cluster: Cluster, there: Callable[[Pki], bool]) -> None:
    """``certs.rotate`` as a user calls it, ended by SIGKILL as soon as the PKI on the disk is *there*."""
    argv = [sys.executable, "-m", "kbootstrap", "certs.rotate", "--ca", "cluster", "--cluster", cluster.folder.name, "--yes"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    root, end = cluster.folder.root.parents[1], time.monotonic() + DEADLINE_S
    with subprocess.Popen(argv, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and time.monotonic() < end:
            try:
                if there(pki_dir.load(cluster.folder.pki)):
                    process.send_signal(signal.SIGKILL)
                    return
            except PkiError:
                pass  # read while it was written
            time.sleep(0.02)
        process.kill()
        raise AssertionError(f"it ended by itself ({process.poll()}): {process.stderr.read() if process.stderr else ''}")


@pytest.mark.long(seconds=170)
def test_killed_at_each_boundary_the_same_command_finishes(own: Cluster) -> None:
    before = pki_dir.load(own.folder.pki)
    killed_at(own, lambda pki: phase(pki, CA) is Phase.TRUST)
    successor = pki_dir.load(own.folder.pki).upcoming[CA].cert_pem
    killed_at(own, lambda pki: phase(pki, CA) is Phase.REISSUE)
    killed_at(own, lambda pki: phase(pki, CA) is Phase.IDLE)
    last = rotated(own)
    assert [step.title for step in last.steps] == ["DROP"], "what was left of it, and no rotation anew"
    after = pki_dir.load(own.folder.pki)
    assert after.trust(CA) == successor
    assert after.retired[CA] == before.cas[CA].cert_pem
    verified = run.verify(own.request())
    assert [str(result) for result in verified.results if not result.ok] == []
    assert verified.picture.plan.empty


@pytest.mark.long(seconds=110)
def test_a_token_in_a_secret_is_named_before_it_dies(own: Cluster) -> None:
    asked = rotate.Asked(name=SERVICE_ACCOUNT)
    metadata = {"name": "old-kind", "annotations": {"kubernetes.io/service-account.name": "default"}}
    document = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": metadata}
    own.kubectl("apply", "-f", "-", text=json.dumps(document))
    stopped = rotate.run(own.request(), asked)
    assert stopped.tokens == ("default/old-kind",)
    assert stopped.held == ()
    assert phase(pki_dir.load(own.folder.pki), SERVICE_ACCOUNT) is Phase.REISSUE
    own.kubectl("delete", "secret", "old-kind")
    ended = rotate.run(own.request(), asked)
    assert [step.title for step in ended.steps] == ["REISSUE", "DROP"]
    assert not ended.waits
    assert own.plan().picture.plan.empty


def put_up(cluster: Cluster) -> None:
    """A Deployment for each kind of client, and a pod that nobody would make again; all work."""
    spec = inventory.load(cluster.folder.cluster_yml)
    kubectl = artifacts.fetch(["kubectl"], prepare.versions(spec), spec.hosts[0].arch, spec.artifacts)["kubectl"].path
    with opened(cluster) as hosts:
        code, _, stderr = api.one(hosts.on("w1"), f"mkdir -p {TOOLS}; cat >{TOOLS}/kubectl; chmod -R 755 {TOOLS}", kubectl.read_bytes())
        assert code == 0, stderr
        image = hosts.prepared.world.images[spec.hosts[0].arch]["testserver"][0]
    for name, folder in CLIENTS.items():
        cluster.kubectl("apply", "-f", "-", text=json.dumps(a_deployment(name, image, _CLIENT.replace("{folder}", folder))))
    cluster.kubectl("run", "bare", f"--image={image}", "--", "netexec")
    for name in CLIENTS:
        cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=60s")
    for name in CLIENTS:
        says(cluster, name, "works")


def a_deployment(name: str, image: str, script: str) -> dict[str, object]:
    folders = ("/usr", "/lib", "/lib64", "/bin")
    volumes = [{"name": folder.strip("/"), "hostPath": {"path": folder}} for folder in folders] + [{"name": "tools", "hostPath": {"path": TOOLS}}]
    mounts = [{"name": folder.strip("/"), "mountPath": folder, "readOnly": True} for folder in folders] + [{"name": "tools", "mountPath": "/tools"}]
    volumes.append({"name": "tmp", "emptyDir": {}})
    mounts.append({"name": "tmp", "mountPath": "/tmp"})
    container = {"name": "client", "image": image, "command": ["/bin/sh", "-c", script], "volumeMounts": mounts}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}}
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def says(cluster: Cluster, name: str, wanted: str, *, within_s: float = 60.0) -> None:
    """The client's last words are *wanted*, at the latest after a while."""
    end, said = time.monotonic() + within_s, ""
    while time.monotonic() < end:
        said = cluster.kubectl("logs", f"deployment/{name}", "--tail=1")
        if said.startswith(wanted):
            return
        time.sleep(1)
    raise AssertionError(f"{name} says {said!r}, want {wanted}")


@pytest.mark.long(seconds=260)
def test_pods_that_run_since_before_are_named_and_never_cut_off_in_silence(own: Cluster) -> None:
    put_up(own)
    stopped = rotated(own)
    assert {f"{pod.namespace}/{pod.owner or pod.name}" for pod in stopped.held} == {
        "default/Deployment/reads-again",
        "default/Deployment/keeps",
        "default/bare",
    }
    assert phase(pki_dir.load(own.folder.pki), CA) is Phase.TRUST
    for name in CLIENTS:
        says(own, name, "works")
    again = rotated(own, restart_workloads=True)
    assert [pod.name for pod in again.held] == ["bare"], "nobody would make it again: it is left to its owner"
    own.kubectl("delete", "pod", "bare", "--now")
    assert not rotated(own).waits
    for name in CLIENTS:
        says(own, name, "works")
    left = rotated(own, leave_workloads=True)
    assert not left.waits
    says(own, "reads-again", "works", within_s=120)
    says(own, "keeps", "fails")
    own.kubectl("delete", "deployment", *CLIENTS, "--now")
