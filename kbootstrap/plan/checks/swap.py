"""Swap is off, or will be switched off, or kubelet was told to bear it."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

_HINT = "Run there: swapoff -a; and take it out of /etc/fstab. Or set host: {swap: off}, or kubelet: {fail_swap_on: false}."


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if seen.host.host.swap != "leave" or not seen.host.kubelet.fail_swap_on:
            continue
        if seen.facts.swap:
            yield Finding(check="swap", host=seen.name, what="swaps, and kubelet will not start", hint=_HINT, evidence="/proc/swaps is not empty")
        elif seen.survey.fstab_swap:
            what = f"will swap after its next boot ({', '.join(seen.survey.fstab_swap)}), and kubelet will not start then"
            yield Finding(
                check="swap", host=seen.name, what=what, hint=_HINT, warning=True, evidence=f"/etc/fstab: {seen.survey.fstab_swap[0]} … swap"
            )
