"""Clocks agree: Raft, certificates and leases need it. Measured against the median of the hosts, as the operator's own clock may be the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median_high, median_low

from kbootstrap.plan.checks.finding import Context, Finding

REFUSED_S = 30.0
WARNED_S = 5.0


def check(context: Context) -> Iterator[Finding]:
    if not context.observed:
        return
    clocks = [seen.facts.clock_s for seen in context.observed.values()]
    middle = min(median_low(clocks), median_high(clocks), key=abs)  # of two hosts one is right: the one that agrees with the operator's machine
    for name, seen in context.observed.items():
        off_s = seen.facts.clock_s - middle
        if abs(off_s) > WARNED_S:
            side = "ahead of" if off_s > 0 else "behind"
            what = f"its clock is {abs(off_s):.0f} s {side} the other hosts'"
            yield Finding(
                check="clock", host=name, what=what, hint="Start a time service: timedatectl set-ntp true.", warning=abs(off_s) <= REFUSED_S
            )
