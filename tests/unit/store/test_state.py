"""Pod ranges: assigned once, never moved, never on top of each other."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kbootstrap.errors import InventoryError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.store.state import Rollout, State, complete, load, save
from kbootstrap.testing.builders import a_cluster


def with_pods(pods: str, prefix: int, masters: int = 1, workers: int = 1) -> ClusterSpec:
    spec = a_cluster(masters, workers)
    return replace(spec, network=replace(spec.network, pods=IPv4Network(pods), host_prefix=prefix))


def ranges(state: State) -> dict[str, str]:
    return {host: str(range_) for host, range_ in state.pod_ranges.items()}


def test_the_lowest_free_range_also_for_hosts_that_come_later() -> None:
    first = complete(State(), with_pods("10.244.0.0/16", 24, workers=0))
    second = complete(first, with_pods("10.244.0.0/16", 24))
    assert ranges(second) == {"m1": "10.244.0.0/24", "w1": "10.244.1.0/24"}
    assert second.cluster_id == first.cluster_id != ""


def test_another_size_does_not_overlap_what_is_assigned() -> None:
    known = complete(State(), with_pods("10.244.0.0/16", 24, workers=0))
    assert ranges(complete(known, with_pods("10.244.0.0/16", 26)))["w1"] == "10.244.1.0/26"


def test_no_range_left_says_so() -> None:
    known = State(pod_ranges={"gone": IPv4Network("10.244.0.0/24")})
    with pytest.raises(InventoryError, match=r"network.pods 10.244.0.0/23 has no range left for w1"):
        complete(known, with_pods("10.244.0.0/23", 24))


def test_a_network_that_moved_away_is_refused() -> None:
    known = complete(State(), with_pods("10.244.0.0/16", 24))
    with pytest.raises(InventoryError, match=r"m1 has the pod range 10.244.0.0/24, which is not in network.pods 10.99.0.0/16"):
        complete(known, with_pods("10.99.0.0/16", 24))


def test_a_change_of_the_version_survives_its_file(tmp_path: Path) -> None:
    kept = State(cluster_id="c", rollout=Rollout(origin="1.35.4", target="1.36.1", snapshot="snapshots/x.db"))
    save(tmp_path / "state.yml", kept)
    assert load(tmp_path / "state.yml") == kept
    save(tmp_path / "state.yml", replace(kept, rollout=None))
    assert load(tmp_path / "state.yml").rollout is None
