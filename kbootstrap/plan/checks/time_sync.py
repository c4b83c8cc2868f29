"""Something keeps the clock. A container's clock is its machine's to keep."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if seen.survey.thorough and not seen.survey.container and not seen.survey.active & set(hosts.TIME_UNITS):
            hint = "Run there: apt-get install systemd-timesyncd (or chrony); timedatectl set-ntp true."
            evidence = f"none active of {', '.join(unit.removesuffix('.service') for unit in hosts.TIME_UNITS)}"
            yield Finding(check="time-sync", host=seen.name, what="has no time service running", hint=hint, warning=True, evidence=evidence)
