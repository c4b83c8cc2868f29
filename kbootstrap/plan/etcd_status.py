"""What ``etcd.status`` asks a master, and what the answers mean. Everything is asked of the host's own member, and bears that it has no quorum."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.report.etcd import Alarm, Known, Latencies, Member

FSYNC: Final = "etcd_disk_wal_fsync_duration_seconds"
COMMIT: Final = "etcd_disk_backend_commit_duration_seconds"
ROUND_TRIP: Final = "etcd_network_peer_round_trip_time_seconds"
APPLIED: Final = "etcd_server_proposals_applied_total"
REVISION: Final = "etcd_debugging_mvcc_current_revision"
P99: Final = 0.99

_ALARM: Final = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")
_BUCKET: Final = re.compile(r"^(\w+)_bucket\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def sections(host: Host) -> list[tuple[str, str]]:
    """(id, sh text) of the one read. The members' list is asked serializably: the member's own copy, which needs no majority."""
    ask = f"timeout 10 {etcdctl(host)}"
    return [
        ("unit", "systemctl show -p ActiveState -p SubState --value etcd.service | tr '\\n' ' '\n"),
        ("status", f"{ask} endpoint status -w json 2>&1\n"),
        ("members", f"{ask} member list --consistency=s -w json 2>&1\n"),
    ]


def member(host: str, unit: str, code: int, output: str, metrics: str) -> Member:
    """The member of *host*: its state from ``endpoint status``, its latencies from *metrics*."""
    try:
        status: Mapping[str, Any] = _answer(output)[0]["Status"] if code == 0 else {}
    except (ValueError, KeyError, IndexError, TypeError):
        status = {}
    if not status:
        return Member(host=host, unit=unit.strip(), reason=f"does not answer: {last(output)}", latencies=latencies(metrics))
    header, leader = status["header"], status.get("leader", 0)  # what is zero is left out
    return Member(
        host=host,
        unit=unit.strip(),
        id=f"{header['member_id']:x}",
        cluster=f"{header['cluster_id']:x}",
        version=status.get("version", ""),
        leader=f"{leader:x}" if leader else "",
        learner=status.get("isLearner", False),
        term=status.get("raftTerm", 0),
        index=status.get("raftIndex", 0),
        applied=status.get("raftAppliedIndex", 0),
        db_bytes=status.get("dbSize", 0),
        in_use_bytes=status.get("dbSizeInUse", 0),
        quota_bytes=status.get("dbSizeQuota", 0),
        latencies=latencies(metrics),
    )


def alarms(outputs: Iterable[str]) -> tuple[Alarm, ...]:
    """Of all *outputs* of ``endpoint status``: its errors name them, and need no majority as ``alarm list`` does."""
    found = {(f"{int(number):x}", kind) for output in outputs for number, kind in _ALARM.findall(output)}
    return tuple(Alarm(member=number, kind=kind) for number, kind in sorted(found))


def known(code: int, output: str) -> tuple[Known, ...]:
    """The members' list; empty where it could not be read."""
    try:
        rows = _answer(output)["members"] if code == 0 else []
        return tuple(
            Known(
                id=f"{row['ID']:x}",
                name=row.get("name", ""),
                peer_urls=tuple(row.get("peerURLs", ())),
                client_urls=tuple(row.get("clientURLs", ())),
                learner=row.get("isLearner", False),
            )
            for row in rows
        )
    except (ValueError, KeyError, TypeError):
        return ()


def hash_of(code: int, output: bytes) -> str:
    """«revision/hash» of ``endpoint hashkv``; empty where it was not told."""
    try:
        found = _answer(output.decode("utf-8", "replace"))[0]["HashKV"] if code == 0 else {}
        return f"{found['header']['revision']}/{found['hash']}"
    except (ValueError, KeyError, TypeError, IndexError):
        return ""


def _answer(output: str) -> Any:
    """The line that is etcdctl's answer; its log lines are JSON too."""
    return json.loads(
        next(line for line in [*output.splitlines(), "null"] if line.startswith(("{", "[", "null")) and not line.startswith('{"level"'))
    )


def last(output: str) -> str:
    """The last line that says something to people."""
    said = [line.strip() for line in output.splitlines() if line.strip() not in ("", "null") and not line.startswith('{"level"')]
    return said[-1][:200] if said else "no answer"


def latencies(metrics: str) -> Latencies:
    """From the text of ``/metrics``."""
    counts: dict[tuple[str, str], dict[float, float]] = {}
    for name, labels, value in _BUCKET.findall(metrics):
        if name in (FSYNC, COMMIT, ROUND_TRIP):
            of = dict(_LABEL.findall(labels))
            counts.setdefault((name, of.get("To", "")), {})[float(of["le"])] = float(value)
    times = {key: quantile(buckets, P99) for key, buckets in counts.items()}
    trips = {peer: took_s for (name, peer), took_s in times.items() if name == ROUND_TRIP and took_s is not None}
    return Latencies(fsync_s=times.get((FSYNC, "")), commit_s=times.get((COMMIT, "")), round_trips_s=trips)


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """The *q*-quantile of a cumulative histogram (upper bound → count), as Prometheus' ``histogram_quantile``: even inside a bucket; what lies
    behind the last finite bound counts as that bound. None without any observation."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank, lower, before = q * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (rank - before) / (buckets[bound] - before)
        lower, before = bound, buckets[bound]
    return lower


def counter(metrics: str, name: str) -> int:
    """The value of a counter without labels; -1 where it is not told."""
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return int(float(found[1])) if found else -1
