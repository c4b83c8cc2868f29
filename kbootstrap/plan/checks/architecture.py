"""The host's architecture is the inventory's: a binary for another one does not start."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        wanted = context.spec.host(name).arch
        if seen.facts.arch != wanted:
            what, evidence = f"is {seen.facts.arch}, the inventory says {wanted}", f"uname -m: {seen.facts.arch}"
            yield Finding(check="architecture", host=name, what=what, hint=f"Set arch: {seen.facts.arch}.", evidence=evidence)
