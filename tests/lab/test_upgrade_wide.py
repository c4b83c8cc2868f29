"""Several nodes change their version at once, and one that is down keeps none of them waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.engine.upgrade_way import Asked
from kbootstrap.inventory import edit
from kbootstrap.plan import versions
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.store import state
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.test_upgrade import BUILDS_S, NEW, PATCH, all_run, rollback, running, upgrade, write

pytestmark = pytest.mark.lab


@pytest.mark.long(seconds=BUILDS_S + 200)
def test_two_nodes_at_once_and_one_that_is_down_counts_and_follows_by_the_same_command(own_hosts: OwnHosts) -> None:
    with own_hosts("kbupw", masters=1, workers=3) as cluster:
        write(cluster, lambda text: edit.with_version(text, NEW))
        cluster.up()
        wide = Asked(max_unavailable=2)
        with cordoned(cluster) as seen:
            upgrade(cluster, PATCH, wide)
        assert all_run(cluster, PATCH)
        assert max(map(len, seen)) == 2
        dead = cluster.lab.host("w3")
        labs.power_cut(dead)
        with cordoned(cluster) as seen:
            outcome = rollback(cluster, wide)
        assert "w3 cannot be read and counts as unavailable: nodes go 1 at a time, not 2" in outcome.shown.warnings
        assert max(map(len, seen)) == 1
        assert [problem.where for problem in outcome.left_out] == ["w3"]
        assert versions.of(running(cluster, but="w3")) == [NEW]
        assert state.load(cluster.folder.state).rollout, "one host is still to follow"
        labs.boot(dead)
        rollback(cluster, wide)
        assert all_run(cluster, NEW)
        assert state.load(cluster.folder.state).rollout is None
        assert f'kubernetes: "{NEW}"' in cluster.folder.cluster_yml.read_text()
        assert cluster.plan().picture.plan.empty


@contextmanager
def cordoned(cluster: Cluster) -> Iterator[list[set[str]]]:
    """The nodes that take no pods, each time that somebody looks, until the block ends."""
    seen, ended = list[set[str]](), threading.Event()
    ask = f"{kubectl(inventory.load(cluster.folder.cluster_yml).host('m1'))} get nodes --no-headers 2>/dev/null"

    def look() -> None:
        while not ended.wait(0.5):
            done = labs.execute(cluster.lab.host("m1"), ["sh", "-c", ask])
            seen.append({line.split()[0] for line in done.stdout.splitlines() if "SchedulingDisabled" in line})

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
