"""No two hosts share a machine-id: cloned machines get the same addresses and names in many places."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen, other, mark in context.twins(lambda seen: [seen.facts.machine_id] if seen.facts.machine_id else []):
        what = f"has the same machine-id as {other.name} (a clone?)"
        hint = "Run there: rm /etc/machine-id && systemd-machine-id-setup, then reboot."
        yield Finding(check="machine-id", host=seen.name, what=what, hint=hint, evidence=f"/etc/machine-id: {mark}")
