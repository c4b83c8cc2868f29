from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kbootstrap.catalog import names
from kbootstrap.model.pki import SERVICE_ACCOUNT
from kbootstrap.plan import consumers

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
VOLUME = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": consumers.BUNDLE}}]}}


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def a_pod(name: str = "web-1", *, made_s: float = -60, started_s: float | None = None, owner: str = "", **more: Any) -> dict[str, Any]:
    started = THEN + timedelta(seconds=made_s + 1 if started_s is None else started_s)
    kind, _, maker = owner.partition("/")
    return {
        "metadata": {"namespace": "shop", "name": name} | ({"ownerReferences": [{"controller": True, "kind": kind, "name": maker}]} if owner else {}),
        "spec": {"volumes": [VOLUME]},
        "status": {
            "phase": "Running",
            "startTime": text(THEN + timedelta(seconds=made_s)),
            "containerStatuses": [{"state": {"running": {"startedAt": text(started)}}}],
        },
    } | more


def old(*pods: dict[str, Any], name: str = names.CLUSTER_CA, sets: tuple[dict[str, Any], ...] = ()) -> list[str]:
    return list(consumers.told(consumers.old(pods, sets, name, {"shop": THEN})))


@pytest.mark.parametrize("name", [names.CLUSTER_CA, SERVICE_ACCOUNT])
def test_who_runs_since_before_is_named_with_what_would_make_it_again(name: str) -> None:
    set_ = {"metadata": {"namespace": "shop", "name": "web-5d", "ownerReferences": [{"controller": True, "kind": "Deployment", "name": "web"}]}}
    pods = [
        a_pod("web-1", owner="ReplicaSet/web-5d"),
        a_pod("web-2", owner="ReplicaSet/web-5d"),
        a_pod("db-0", owner="StatefulSet/db"),
        a_pod("bare"),
        a_pod("job-x", owner="Job/job"),
    ]
    assert old(*pods, name=name, sets=(set_,)) == [
        "shop/web-1 and 1 more of Deployment/web",
        "shop/db-0 of StatefulSet/db",
        "shop/bare, which nobody would make again",
        "shop/job-x of Job/job",
    ]


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(a_pod(made_s=5), id="made later"),
        pytest.param(a_pod(started_s=130), id="its containers started again, long after"),
        pytest.param(a_pod(spec={"volumes": [{"emptyDir": {}}]}), id="mounts nothing of it"),
        pytest.param(a_pod(status={"phase": "Succeeded", "startTime": text(THEN - timedelta(1))}), id="at its end"),
    ],
)
def test_others_are_not(pod: dict[str, Any]) -> None:
    assert old(pod) == []


def test_a_container_that_started_again_at_once_may_have_read_the_old_bundle() -> None:
    assert old(a_pod(started_s=30)) == ["shop/web-1, which nobody would make again"]


def test_pods_know_nothing_of_the_other_cas() -> None:
    assert old(a_pod(), name=names.ETCD_CA) == old(a_pod(), name=names.FRONT_PROXY_CA) == []


def test_each_owner_restarts_once() -> None:
    pods = consumers.old([a_pod("db-0", owner="StatefulSet/db"), a_pod("db-1", owner="StatefulSet/db"), a_pod("bare")], (), SERVICE_ACCOUNT, {}, THEN)
    assert consumers.owners(pods) == (("shop", "StatefulSet/db"),)


def test_bundles_that_lack_a_ca_and_when_the_others_got_it() -> None:
    def bundle(namespace: str, ca: str) -> dict[str, Any]:
        times = [{"time": text(THEN)}, {"time": text(THEN + timedelta(hours=1))}, {}]
        return {"metadata": {"namespace": namespace, "creationTimestamp": text(THEN), "managedFields": times}, "data": {"ca.crt": ca}}

    bundles = [bundle("a", "old\nnew\n"), bundle("b", "old")]
    assert consumers.lacking(bundles, b"old\nnew\n") == ("b",)
    assert consumers.changed(bundles)["a"] == THEN + timedelta(hours=1)
