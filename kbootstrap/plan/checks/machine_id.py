"""No two hosts share a machine-id: cloned machines get the same addresses and names in many places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    same: dict[str, list[str]] = defaultdict(list)
    for name, seen in context.observed.items():
        if seen.facts.machine_id:
            same[seen.facts.machine_id].append(name)
    for names in same.values():
        for name in names[1:]:
            hint = "Run there: rm /etc/machine-id && systemd-machine-id-setup, then reboot."
            yield Finding(check="machine-id", host=name, what=f"has the same machine-id as {names[0]} (a clone?)", hint=hint)
