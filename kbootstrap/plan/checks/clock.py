"""Clocks agree: Raft, certificates and leases need it. Measured against the median of the hosts, as the operator's own clock may be the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from kbootstrap.plan.checks.finding import Context, Finding

REFUSED_S = 30.0
WARNED_S = 5.0


def check(context: Context) -> Iterator[Finding]:
    if not context.observed:
        return
    middle = median(seen.facts.clock_s for seen in context.observed.values())
    for name, seen in context.observed.items():
        off_s = seen.facts.clock_s - middle
        if abs(off_s) > WARNED_S:
            side = "ahead of" if off_s > 0 else "behind"
            what = f"its clock is {abs(off_s):.0f} s {side} the other hosts'"
            yield Finding(
                check="clock", host=name, what=what, hint="Start a time service: timedatectl set-ntp true.", warning=abs(off_s) <= REFUSED_S
            )
