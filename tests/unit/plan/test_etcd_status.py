"""What etcd's own answers mean, quorum or not, and the quantiles of its histograms."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.engine.etcd_status import Answer, assemble
from kbootstrap.errors import ConnectError
from kbootstrap.plan import etcd_status as words
from kbootstrap.plan.etcd_status import quantile
from kbootstrap.remote.pool import Outcome
from kbootstrap.report.etcd import Alarm, EtcdStatus

INF = float("inf")
ONE, TWO = 0x8E9E05C52164694D, 0x91BC3C398FB3C146
LOG = '{"level":"warn","ts":"2026-01-01","msg":"retrying of unary invoker failed"}'


def status(member: int, *, leader: int = ONE, applied: int = 90, errors: tuple[str, ...] = ()) -> str:
    found = {
        "header": {"cluster_id": 0xCDF8, "member_id": member, "revision": 80, "raft_term": 3},
        "version": "3.6.14", "dbSize": 25_000_000, "raftIndex": 100, "raftTerm": 3, "raftAppliedIndex": applied, "dbSizeInUse": 9_000_000,
        "dbSizeQuota": 8 << 30, "storageVersion": "3.6.0",
    } | ({"leader": leader} if leader else {}) | ({"errors": list(errors)} if errors else {})  # fmt: skip
    return f"{LOG}\n{json.dumps([{'Endpoint': 'https://10.0.0.11:2379', 'Status': found}])}\n"


MEMBERS = json.dumps(
    {"header": {}, "members": [{"ID": ONE, "name": "m1", "peerURLs": ["https://10.0.0.11:2380"], "clientURLs": ["https://10.0.0.11:2379"]},
                               {"ID": TWO, "name": "old", "peerURLs": ["https://10.0.0.99:2380"], "isLearner": True}]}
)  # fmt: skip
METRICS = f"""
{words.FSYNC}_bucket{{le="0.001"}} 50
{words.FSYNC}_bucket{{le="0.002"}} 100
{words.FSYNC}_bucket{{le="+Inf"}} 100
{words.ROUND_TRIP}_bucket{{To="{TWO:x}",le="0.01"}} 10
{words.ROUND_TRIP}_bucket{{To="{TWO:x}",le="+Inf"}} 10
{words.REVISION} 1.234e+06
{words.APPLIED} 1.233e+06
"""


def look(**answers: str | ConnectError) -> EtcdStatus:
    outcomes: dict[str, Outcome[Answer]] = {}
    for name, text in answers.items():
        if isinstance(text, ConnectError):
            outcomes[name] = Outcome(host=name, error=text)
            continue
        answered = {"status": (0 if "Endpoint" in text else 1, text), "members": (0, MEMBERS), "unit": (0, "active running ")}
        outcomes[name] = Outcome(host=name, value=Answer(sections=answered, metrics=METRICS))
    return assemble("prod", outcomes)


def test_a_healthy_cluster() -> None:
    found = look(m1=status(ONE), m2=status(TWO, applied=95))
    assert found.ok
    assert found.leader is not None
    assert found.leader.host == "m1"
    assert [found.lag(member) for member in found.members] == [10, 5]
    assert found.members[0].latencies.fsync_s == pytest.approx(0.00198)
    assert found.data()["members"][1]["lag"] == 5
    assert any("m1 leads since term 3" in line for line in found.lines())
    assert [each.name for each in found.strangers] == ["old"]
    assert any(f"no master of the inventory  → On a master: etcdctl member remove {TWO:x}" in line for line in found.lines())
    half = replace(found, known=(replace(found.strangers[0], name=""),))
    assert any("invoke cluster.up goes on" in line for line in half.lines())


def test_without_a_leader_there_is_no_quorum_and_the_rest_is_still_told() -> None:
    found = look(m1=status(ONE, leader=0, errors=("etcdserver: no leader",)), m2=ConnectError("no route to host"), m3="context deadline exceeded\n")
    assert not found.quorum
    assert not found.ok
    assert [bool(member.reason) for member in found.members] == [False, True, True]
    assert "context deadline exceeded" in found.members[2].reason
    assert any("NO QUORUM" in line for line in found.lines())
    assert any("etcd.recover" in line for line in found.lines())
    assert found.known


def test_alarms_are_told_once_with_what_to_do() -> None:
    said = f"memberID:{TWO} alarm:NOSPACE "
    found = look(m1=status(ONE, errors=(said,)), m2=status(TWO, errors=(said,)))
    assert found.alarms == (Alarm(member=f"{TWO:x}", kind="NOSPACE"),)
    assert found.quorum
    assert not found.ok
    assert any("m2 ALARM NOSPACE" in line and "etcd.defrag" in line for line in found.lines())


@pytest.mark.parametrize("text", ["", "null\n", "[]\n", "[{}]\n", '{"x": 1}\n', "[1]\n", LOG])
def test_an_answer_that_is_none_is_a_reason(text: str) -> None:
    assert words.member("m1", "", 0, text, "").reason


def test_counters() -> None:
    assert words.counter(METRICS, words.REVISION) == 1_234_000
    assert words.counter(METRICS, "other") == -1


@pytest.mark.parametrize(
    ("buckets", "q", "wanted"),
    [
        ({}, 0.99, None),
        ({1.0: 0, INF: 0}, 0.99, None),
        ({1.0: 100, INF: 100}, 0.5, 0.5),
        ({1.0: 50, 2.0: 100, INF: 100}, 0.99, 1.98),
        ({1.0: 50, 2.0: 50, 4.0: 100, INF: 100}, 0.75, 3.0),
        ({1.0: 50, 2.0: 60, INF: 100}, 0.99, 2.0),
    ],
)
def test_a_quantile_is_as_prometheus_computes_it(buckets: dict[float, float], q: float, wanted: float | None) -> None:
    assert quantile(buckets, q) == (None if wanted is None else pytest.approx(wanted))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.floats(0.01, 1.0))
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(counts: list[int], q: float) -> None:
    total, buckets = 0, dict[float, float]()
    for number, count in enumerate(counts):
        total += count
        buckets[float(2**number)] = total
    buckets[INF] = total
    found = quantile(buckets, q)
    if not total:
        assert found is None
        return
    upper = next(bound for bound in sorted(buckets) if buckets[bound] >= q * total)
    assert found is not None
    assert (upper / 2 if upper > 1 else 0) <= found <= upper


def test_a_members_hash_is_told_with_its_revision_and_silence_is_none() -> None:
    answer = b'{"level":"warn"}\n[{"Endpoint":"x","HashKV":{"header":{"cluster_id":1,"revision":7},"hash":42,"compact_revision":3}}]\n'
    assert words.hash_of(0, answer) == "7/42"
    assert [words.hash_of(code, text) for code, text in ((1, answer), (0, b""), (0, b"[]"), (0, b"null\n"))] == [""] * 4
