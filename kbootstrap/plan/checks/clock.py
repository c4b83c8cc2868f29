"""Clocks agree: Raft, certificates and leases need it. Measured against the median of the hosts, as the operator's own clock may be the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median_high, median_low

from kbootstrap.plan.checks.finding import Context, Finding

REFUSED_S = 30.0
WARNED_S = 5.0
OPERATOR = "operator"


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
            hint, evidence = "Start a time service: timedatectl set-ntp true.", f"{seen.facts.clock_s:+.1f} s against this machine"
            yield Finding(check="clock", host=name, what=what, hint=hint, warning=abs(off_s) <= REFUSED_S, evidence=evidence)
    if abs(middle) > REFUSED_S:
        what = f"this machine's clock is {abs(middle):.0f} s {'behind' if middle > 0 else 'ahead of'} that of the hosts, which agree"
        hint = "Set this machine's clock: timedatectl set-ntp true; certificates are issued by it."
        yield Finding(check="clock", host=OPERATOR, what=what, hint=hint, warning=True, evidence=f"median of the hosts: {middle:+.1f} s")
