"""Swap is off, or will be switched off, or kubelet was told to bear it."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        host = context.spec.host(name)
        if seen.facts.swap and host.host.swap == "leave" and host.kubelet.fail_swap_on:
            yield Finding(
                check="swap", host=name, what="swaps, and kubelet will not start", hint="Set host: {swap: off} or kubelet: {fail_swap_on: false}."
            )
