"""Another Kubernetes version while clients work: 1.35.4 → 1.36.1 → 1.36.3, what is refused, what is put back, and a tool that dies in between.

Binaries of three versions are needed; whatever is not in the cache is fetched or built by the first ``up`` of each (a build: ten minutes and more).
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import prepare
from kbootstrap.engine import upgrade as upgrading
from kbootstrap.engine.upgrade_way import Asked, Outcome
from kbootstrap.errors import ApplyError, KbError, PreflightError
from kbootstrap.inventory import edit
from kbootstrap.model.events import silent
from kbootstrap.plan import versions
from kbootstrap.store import state
from tests.lab import serving
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.load import loading
from tests.lab.test_failover import opened

pytestmark = pytest.mark.lab

OLD, NEW, PATCH = "1.35.4", "1.36.1", "1.36.3"
BUILDS_S = 1900.0  # two versions that nothing else needs, on an empty cache
GATE = "HonorPVReclaimPolicy"  # since 1.31 a matter of course; 1.35 takes it, with a warning, 1.36 does not know it any more
EXTRA = f'\nextra_args: {{kube-apiserver: {{feature-gates: "{GATE}=true"}}}}\n'
REPOSITORY = Path(__file__).parents[2]
Record = Callable[[str, object], None]


def write(cluster: Cluster, change: Callable[[str], str]) -> None:
    path = cluster.folder.cluster_yml
    path.write_text(change(path.read_text()))


def running(cluster: Cluster, but: str = "") -> dict[str, dict[str, str]]:
    """What the processes say of themselves, on all hosts *but* one that is off."""
    asked = [host for host in cluster.lab.hosts if host.name != but]
    found = {host.name: labs.execute(host, ["sh", "-c", versions.probe(versions.KUBERNETES)]).stdout for host in asked}
    return {name: versions.parse(said) for name, said in found.items()}


def all_run(cluster: Cluster, version: str) -> bool:
    return versions.of(running(cluster)) == [version]


def fingerprint(cluster: Cluster) -> dict[str, str]:
    """Of every host: processes, and the content of all that an upgrade might touch; of the operator's folder: its files."""
    units = "systemctl show -p Id,InvocationID 'kube*.service' etcd.service containerd.service"
    files = f"find {paths.BIN} {paths.UNITS} {paths.KUBERNETES} {paths.BLOBS} {paths.PREVIOUS} -type f -exec sha256sum {{}} + 2>/dev/null | sort"
    found = {host.name: labs.execute(host, ["sh", "-c", f"{units}; {files}"]).stdout for host in cluster.lab.hosts}
    mine = (cluster.folder.cluster_yml, cluster.folder.state)
    return found | {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in mine}


def upgrade(cluster: Cluster, target: str, asked: Asked | None = None) -> Outcome:
    """``cluster.upgrade --yes``, and every check of it holds."""
    return _whole(lambda: upgrading.upgrade(cluster.request(), target, asked or Asked()))


def rollback(cluster: Cluster, asked: Asked | None = None) -> Outcome:
    return _whole(lambda: upgrading.rollback(cluster.request(), asked or Asked()))


def _whole(work: Callable[[], Outcome]) -> Outcome:
    try:
        outcome = work()
    except KbError as error:
        error.add_note("\n".join(map(str, error.problems)))
        raise
    left_out = {problem.where for problem in outcome.left_out}
    assert [str(result) for result in outcome.results if not result.ok and result.where not in left_out] == []
    return outcome


@pytest.fixture(scope="module")
def pair(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """One master and one worker of the old version."""
    with own_hosts("kbupg", masters=1, workers=1) as found:
        yield found


def fresh(cluster: Cluster) -> None:
    """The old version, whatever a test before left."""
    if cluster.folder.state.exists() and running(cluster)["m1"] and all_run(cluster, OLD):
        write(cluster, lambda text: edit.with_version(text.replace(EXTRA, ""), OLD))
        cluster.up()
        return
    for host in cluster.lab.hosts:
        labs.bare(host)
    cluster.folder.state.unlink(missing_ok=True)
    cluster.folder.admin_conf.unlink(missing_ok=True)
    write(cluster, lambda text: edit.with_version(text.replace(EXTRA, ""), OLD))
    cluster.up()


def refused(work: Callable[[], object]) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        work()
    return caught.value


def test_a_refusal_says_what_to_do_and_changes_nothing(cluster: Cluster) -> None:
    before = fingerprint(cluster)
    down = refused(lambda: upgrade(cluster, NEW))
    assert "a downgrade" in str(down.problems[0])
    assert "cluster.rollback" in down.problems[-1].hint
    unknown = refused(lambda: upgrade(cluster, "1.37.0"))
    assert "1.34, 1.35, 1.36" in str(unknown.problems[0])
    nothing = refused(lambda: rollback(cluster))
    assert "no upgrade of this cluster is known" in nothing.message
    assert fingerprint(cluster) == before


def test_the_version_that_runs_already_is_nothing_to_do(cluster: Cluster) -> None:
    before = fingerprint(cluster)
    outcome = upgrade(cluster, PATCH)
    assert (outcome.applied, outcome.diff, outcome.plan.empty) == (False, (), True)
    assert state.load(cluster.folder.state).rollout is None
    assert {k: v for k, v in fingerprint(cluster).items() if k != "state.yml"} == {k: v for k, v in before.items() if k != "state.yml"}


@pytest.mark.long(seconds=BUILDS_S + 60)
def test_an_edited_version_is_no_way_around_the_order(pair: Cluster) -> None:
    fresh(pair)
    write(pair, lambda text: edit.with_version(text, PATCH))
    before = fingerprint(pair)
    for work in (pair.up, pair.plan):
        error = refused(work)
        assert error.hint == f"A new version goes host by host: invoke cluster.upgrade --to {PATCH}"
    assert fingerprint(pair) == before
    write(pair, lambda text: edit.with_version(text, OLD))
    assert pair.plan().picture.plan.empty


@pytest.mark.long(seconds=BUILDS_S + 120)
def test_a_flag_that_the_new_version_does_not_know_is_found_before_anything_changes(pair: Cluster) -> None:
    fresh(pair)
    write(pair, lambda text: text + EXTRA.replace("feature-gates", "no-such-flag"))
    before = fingerprint(pair)
    error = refused(lambda: upgrade(pair, NEW))
    assert str(error.problems[0]).startswith(f"m1  kube-apiserver of {NEW} does not know the flag --no-such-flag")
    assert fingerprint(pair) == before
    write(pair, lambda text: text.replace(EXTRA.replace("feature-gates", "no-such-flag"), ""))
    assert pair.plan().picture.plan.empty


@pytest.mark.long(seconds=BUILDS_S + 240)
def test_killed_behind_each_stage_it_goes_on(pair: Cluster) -> None:
    fresh(pair)
    seen = set[str]()
    for _ in range(12):
        if not killed_at_news(pair, seen, "upgrade", "--to", NEW):
            break
    assert {"API SERVERS", "CONTROLLERS", "drain m1", "NODES"} <= seen
    assert all_run(pair, NEW)
    assert f'kubernetes: "{NEW}"' in pair.folder.cluster_yml.read_text()
    outcome = pair.up()
    assert not outcome.applied
    assert "SchedulingDisabled" not in pair.kubectl("get", "nodes")
    assert not labs.execute(pair.lab.host("m1"), ["sh", "-c", f"ls {paths.BLOBS}"]).stdout
    kept = state.load(pair.folder.state).rollout
    assert kept is not None
    assert (kept.origin, kept.target, kept.done) == (OLD, NEW, True)


def killed_at_news(cluster: Cluster, seen: set[str], command: str, *words: str) -> bool:
    """Whether the command was killed: it is at the first stage whose end none of the commands before had told."""
    argv = [sys.executable, "-m", "kbootstrap", f"cluster.{command}", "--cluster", cluster.folder.name, *words, "--yes"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        argv, cwd=cluster.folder.root.parents[1], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if (match := re.match(r"✓ (.+?)\s+[\d.]+ s", line)) and match[1] not in seen:
                seen.add(match[1])
                process.send_signal(signal.SIGKILL)
                return True
        assert process.wait(60) == 0, said[-3000:]
    return False


@pytest.mark.long(seconds=BUILDS_S + 150)
def test_a_patch_goes_back_and_a_minor_does_not(pair: Cluster) -> None:
    if not all_run(pair, NEW):
        fresh(pair)
        upgrade(pair, NEW)
    before = fingerprint(pair)
    error = refused(lambda: rollback(pair))
    assert "binaries alone cannot go back a minor" in error.problems[0].what
    assert "etcd.restore" in error.problems[0].hint
    assert fingerprint(pair) == before
    upgrade(pair, PATCH)
    assert all_run(pair, PATCH)
    drift_is_no_upgrade(pair)
    rollback(pair)
    assert all_run(pair, NEW)
    assert f'kubernetes: "{NEW}"' in pair.folder.cluster_yml.read_text()
    assert pair.plan().picture.plan.empty
    assert "no upgrade of this cluster is known" in refused(lambda: rollback(pair)).message


def drift_is_no_upgrade(cluster: Cluster) -> None:
    """Another change in the version that runs: the way back stays, in the record and on the hosts, and etcd is not kept as if it were from before."""
    kept, snapshots = state.load(cluster.folder.state).rollout, sorted(cluster.folder.snapshots.iterdir())
    programs = f"cd {paths.PREVIOUS} && ls && find . -type f -size +1M | sort"
    before = labs.execute(cluster.lab.host("m1"), ["sh", "-c", programs]).stdout
    assert before.startswith("done\n")
    assert "kube-apiserver" in before
    labs.execute(cluster.lab.host("m1"), ["chmod", "0640", paths.unit("kubelet.service")])
    assert upgrade(cluster, PATCH).applied
    assert state.load(cluster.folder.state).rollout == kept
    assert sorted(cluster.folder.snapshots.iterdir()) == snapshots
    assert "kube-apiserver" in labs.execute(cluster.lab.host("m1"), ["sh", "-c", programs]).stdout


@pytest.mark.long(seconds=BUILDS_S + 200)
def test_half_an_upgrade_goes_back_and_so_does_half_a_way_back(pair: Cluster) -> None:
    """Killed when the API server is new and the node is not; then on its way back."""
    if not all_run(pair, NEW):
        fresh(pair)
        upgrade(pair, NEW)
    before = {"HOSTS", "ETCD"}
    assert killed_at_news(pair, before, "upgrade", "--to", PATCH)
    assert before == {"HOSTS", "ETCD", "API SERVERS"}
    assert versions.of(running(pair)) == [NEW, PATCH]
    assert killed_at_news(pair, set(), "rollback")
    rollback(pair)
    assert all_run(pair, NEW)
    assert f'kubernetes: "{NEW}"' in pair.folder.cluster_yml.read_text()
    assert pair.plan().picture.plan.empty
    assert "SchedulingDisabled" not in pair.kubectl("get", "nodes")


@pytest.mark.long(seconds=BUILDS_S + 500)
def test_three_masters_and_two_workers_lose_no_request(own_hosts: OwnHosts, record_testsuite_property: Record) -> None:
    """Twenty requests a second at the API, ten at a service of two replicas, through two upgrades; one master that does not come up in between."""
    with own_hosts("kbupb", masters=3, workers=2) as cluster:
        fresh(cluster)
        for version in (NEW, PATCH):  # what is built or fetched is none of the clients' time
            prepare.prepare(cluster.folder, silent, dry=True, kubernetes=version)
        address = serving.put_up(cluster)
        with opened(cluster) as hosts:
            api = loading(hosts.on("w1"), cluster.folder.admin_conf)
            with api as writes, serving.asking([hosts.on("m2"), hosts.on("w2")], address) as asked:
                time.sleep(2)
                _stops_at_one_master(cluster)
                for version in (NEW, PATCH):
                    began = time.monotonic()
                    upgrade(cluster, version)
                    record_testsuite_property(f"upgrade_{version}_s", round(time.monotonic() - began))
                    assert all_run(cluster, version)
                time.sleep(3)
        record_testsuite_property("api", str(writes))
        record_testsuite_property("service", str(asked))
        assert (writes.lost, asked.lost) == ([], []), f"{writes}; {asked}"
        assert min(writes.made, asked.made) > 500


def _stops_at_one_master(cluster: Cluster) -> None:
    """A feature gate of the user's that the new version no longer knows: no look at flags tells it, the API server does when it starts."""
    write(cluster, lambda text: text + EXTRA)
    cluster.up()
    before = running(cluster)
    with pytest.raises(ApplyError) as caught:
        upgrade(cluster, NEW)
    error = caught.value
    assert "stops in API SERVERS at m1; 3 of 3 API servers serve" in error.message
    assert error.exit_code == 5
    (problem,) = error.problems
    assert problem.where == "m1"
    assert "was put back to what it ran before" in problem.what
    assert f"no feature gate {GATE}" in problem.what
    assert "extra_args" in problem.hint
    assert running(cluster) == before
    assert f'kubernetes: "{OLD}"' in cluster.folder.cluster_yml.read_text()
    assert cluster.plan().picture.plan.empty
    write(cluster, lambda text: text.replace(EXTRA, ""))
