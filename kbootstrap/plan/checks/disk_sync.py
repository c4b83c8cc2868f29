"""How long a small synchronous write takes where etcd will live: the mean of sixteen of 4 KiB, tried only before etcd runs there."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import paths
from kbootstrap.plan.checks.finding import Context, Finding

WARNED_MS = 10.0  # etcd's own advice for the 99th percentile


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        found_ms = seen.survey.sync_ms
        if found_ms is not None and found_ms > WARNED_MS:
            what = f"a synchronous write near {paths.ETCD_DATA} takes {found_ms:.0f} ms, want {WARNED_MS:.0f} or less"
            hint = "Put /var/lib/etcd on an SSD of its own, or raise etcd: {heartbeat_ms, election_ms}."
            evidence = f"dd oflag=dsync bs=4k: {found_ms:.1f} ms each"
            yield Finding(check="disk-sync", host=seen.name, what=what, hint=hint, warning=True, evidence=evidence)
