"""A master has two processors."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

MASTERS = 2


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if seen.host.is_master and 0 < seen.facts.cpus < MASTERS:
            what = f"has {seen.facts.cpus} processor, a master wants {MASTERS}"
            hint = "Give the machine another processor."
            yield Finding(check="cpu", host=seen.name, what=what, hint=hint, warning=True, evidence=f"nproc: {seen.facts.cpus}")
