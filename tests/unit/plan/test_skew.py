"""Which way to another version is open: Kubernetes' version skew policy."""

from __future__ import annotations

import pytest

from kbootstrap.plan import skew, versions
from kbootstrap.plan.versions import KUBERNETES, MASTERS


def running(masters: str | tuple[str, ...] = "1.35.4", nodes: str = "1.35.4") -> dict[str, dict[str, str]]:
    """Three masters and a worker; *masters*: the version of all, or of each."""
    each = (masters,) * 3 if isinstance(masters, str) else masters
    seen = {f"m{n}": dict.fromkeys(MASTERS, version) | dict.fromkeys(KUBERNETES[3:], nodes) for n, version in enumerate(each, 1)}
    return seen | {"w1": dict.fromkeys(KUBERNETES[3:], nodes)}


@pytest.mark.parametrize("target", ["1.35.4", "1.35.8", "1.36.1", "1.36.3"])
def test_a_patch_and_the_next_minor_are_open(target: str) -> None:
    assert skew.upgrade(running(), target) == ()


def test_what_was_begun_goes_on() -> None:
    assert skew.upgrade(running(("1.36.1", "1.35.4", "1.35.4")), "1.36.1") == ()
    assert skew.upgrade(running("1.36.1", nodes="1.35.4"), "1.36.1") == ()


def test_a_downgrade_names_what_would_go_down_and_the_way_back() -> None:
    (problem,) = skew.upgrade({"m1": {"kube-apiserver": "1.36.1"}, "m2": {"kube-apiserver": "1.35.4"}}, "1.35.4")
    assert str(problem).startswith("m1  kube-apiserver runs 1.36.1, newer than 1.35.4: a downgrade.")
    assert "invoke cluster.rollback" in problem.hint


def test_a_skipped_minor_names_the_step_between() -> None:
    found = skew.upgrade(running("1.34.8", "1.34.8"), "1.36.3")
    assert {problem.where for problem in found} == {"m1", "m2", "m3"}
    servers = [problem for problem in found if "kube-apiserver" in problem.what]
    assert "at most 1 minor older than API servers of 1.36.3" in servers[0].what
    assert servers[0].hint == "First to a version of 1.35: invoke cluster.upgrade --to 1.35.8"


def test_a_kubelet_left_behind_is_named_where_the_policy_ends() -> None:
    assert skew.upgrade(running("1.35.4", nodes="1.33.1"), "1.36.3") == ()
    (first, *_rest) = skew.upgrade(running("1.35.4", nodes="1.32.1"), "1.36.3")
    assert "kubelet is 1.32.1; it may be at most 3 minors older" in first.what


def test_a_kubelet_that_is_newer_than_the_target_is_a_downgrade() -> None:
    found = skew.upgrade(running("1.35.4", nodes="1.36.1"), "1.35.8")
    assert {problem.where for problem in found} == {"m1", "m2", "m3", "w1"}
    assert skew.upgrade(running("1.35.4", nodes="1.36.1"), "1.36.1") == (), "which mends what should not have been"


@pytest.mark.parametrize("target", ["1.33.1", "1.40.0", "2.0.0"])
def test_a_minor_that_is_not_known_here(target: str) -> None:
    (problem,) = skew.upgrade(running(), target)
    assert "1.34, 1.35, 1.36" in problem.what


def test_back_within_a_minor_and_while_an_older_api_server_serves() -> None:
    assert skew.rollback(running("1.36.3", "1.36.3"), "1.36.1", snapshot="") == ()
    assert skew.rollback(running(("1.36.1", "1.36.1", "1.35.4")), "1.35.4", snapshot="s.db") == ()


def test_back_a_minor_leads_only_the_snapshot() -> None:
    (problem,) = skew.rollback(running("1.36.1"), "1.35.4", snapshot="inventory/lab/snapshots/lab.db")
    assert "binaries alone cannot go back a minor" in problem.what
    assert "invoke etcd.restore inventory/lab/snapshots/lab.db --replace" in problem.hint
    (unkept,) = skew.rollback(running("1.36.1"), "1.35.4", snapshot="")
    assert unkept.hint.startswith("No snapshot of 1.35.4 is recorded. From one of your own, ")
    assert unkept.hint.endswith("invoke etcd.restore <file> --replace")


def test_versions_are_read_whatever_a_program_calls_itself() -> None:
    said = (
        "kube-apiserver Kubernetes v1.36.1\nkubelet Kubernetes v1.36.0-rc.1\netcd etcd Version: 3.6.14\n"
        "containerd containerd github.com/containerd/containerd/v2 2.3.4 \nkube-proxy \n"
    )
    assert versions.parse(said) == {"kube-apiserver": "1.36.1", "kubelet": "1.36.0-rc.1", "etcd": "3.6.14", "containerd": "2.3.4"}
    assert sorted(["1.36.10", "1.36.2", "1.36.2-rc.1"], key=versions.order) == ["1.36.2-rc.1", "1.36.2", "1.36.10"]
