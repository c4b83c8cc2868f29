"""etcd's alarms on real members: a quota that is reached, a disk that says something else; each is named, and its hint leads out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kbootstrap import inventory
from kbootstrap.catalog import paths
from kbootstrap.engine import etcd_care, etcd_status
from kbootstrap.errors import PreflightError
from kbootstrap.plan.checks.gates import etcdctl
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.etcd import ctl, inside, until, whole

REPOSITORY = Path(__file__).parents[2]
QUOTA = 64 << 20  # the least that the inventory takes
FILL_BYTES, VERIFY_EXIT = 1_000_000, 5
MARK = "as-it-was-written-by-the-majority"


def told(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """``etcd.alarms`` as a user calls it."""
    argv = [sys.executable, "-m", "kbootstrap", "etcd.alarms", "--cluster", cluster.folder.name, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(argv, cwd=cluster.folder.root.parents[1], env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def with_settings(cluster: Cluster, **settings: object) -> Cluster:
    path = cluster.folder.cluster_yml
    document = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**document, **settings}, sort_keys=False))
    cluster.up()
    return cluster


@pytest.fixture(scope="module")
def small(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbfull", masters=1, workers=0) as found:
        yield with_settings(found, etcd={"quota_bytes": QUOTA})


@pytest.fixture(scope="module")
def watchful(own_hosts: OwnHosts) -> Iterator[Cluster]:
    """Three members whose leader compares them every few seconds."""
    with own_hosts("kbcorr", masters=3, workers=0) as found:
        path = found.folder.cluster_yml
        own = yaml.safe_load(path.read_text()).get("extra_args", {})
        yield with_settings(found, extra_args={**own, "etcd": {**own.get("etcd", {}), "corrupt-check-time": "5s"}})


@pytest.mark.long(seconds=65)
def test_a_quota_that_is_reached(small: Cluster) -> None:
    ask = etcdctl(inventory.load(small.folder.cluster_yml).host("m1"))
    put = f"head -c {FILL_BYTES} /dev/zero | tr '\\0' x | {ask} put /fill/$i >/dev/null 2>/root/said"
    inside(small, "m1", f"i=0; while {put}; do i=$((i+1)); [ $i -lt 100 ] || exit 1; done; grep -q 'space exceeded' /root/said")
    assert "space exceeded" in small.kubectl("create", "configmap", "late", fails=True)
    code, said = told(small)
    assert code == VERIFY_EXIT
    assert "m1  NOSPACE" in said
    assert "etcd.defrag" in said
    assert not etcd_status.status(small.request()).ok

    with pytest.raises(PreflightError, match="cause is still there") as refused:
        etcd_care.alarms(small.request(), disarm=True)
    assert "67 MB are used" in str(refused.value.problems[0])

    ctl(small, "m1", "del /fill/ --prefix")
    (won,) = list(etcd_care.defrag(small.request()))
    assert won.after < QUOTA // 2, "what was deleted takes no more room, though no API server could write that it compacts"
    assert told(small, "--disarm")[0] == 0
    assert etcd_status.status(small.request()).ok
    small.kubectl("create", "configmap", "late")
    small.up()
    assert small.plan().picture.plan.empty


def spoil(cluster: Cluster, host: str) -> None:
    """A byte of a value is another one on the disk of *host*, below its member that runs."""
    ctl(cluster, "m1", f"put /spoiled {MARK}")
    time.sleep(1)  # what was written lies on all disks
    database = f"{paths.ETCD_DATA}/member/snap/db"
    flip = f"printf X | dd of={database} bs=1 seek=$place conv=notrunc status=none"
    inside(cluster, host, f'places=$(grep -abo {MARK} {database} | cut -d: -f1); [ -n "$places" ]; for place in $places; do {flip}; done')


@pytest.mark.long(seconds=160)
def test_a_disk_that_says_something_else(watchful: Cluster) -> None:
    found = until(watchful, whole)
    bad = next(member.host for member in found.following if not member.leads)
    others = [member.host for member in found.members if member.host != bad]
    watchful.kubectl("create", "configmap", "kept")
    spoil(watchful, bad)
    found = until(watchful, lambda seen: bool(seen.alarms))
    assert [(found.host_of(alarm.member), alarm.kind) for alarm in found.alarms] == [(bad, "CORRUPT")]
    code, said = told(watchful)
    assert code == VERIFY_EXIT
    assert f"{bad}  CORRUPT" in said
    assert "cluster.up" in said
    with pytest.raises(PreflightError, match="cause is still there") as refused:
        etcd_care.alarms(watchful.request(), disarm=True)
    assert "members differ" in str(refused.value.problems[0])

    inside(watchful, bad, f"systemctl stop etcd && mv {paths.ETCD_DATA}/member {paths.ETCD_DATA}/corrupt")
    assert told(watchful, "--disarm")[0] == 0
    assert watchful.kubectl("--server", f"https://{watchful.lab.host(others[0]).address}:6443", "get", "configmap", "kept", "-o", "name").strip()
    watchful.up()
    until(watchful, whole)
    rows = {host: ctl(watchful, host, "get /spoiled --consistency=s --print-value-only").strip() for host in (bad, *others)}
    assert set(rows.values()) == {MARK}, rows
    hashes = [json.loads(ctl(watchful, host, "endpoint hashkv -w json"))[0]["HashKV"]["hash"] for host in (bad, *others)]
    assert len(set(hashes)) == 1
    assert watchful.plan().picture.plan.empty
