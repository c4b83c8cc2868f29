"""The kernel's own limits leave room for daemons and pods."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        low = {name: value for name, value in seen.survey.limits.items() if value < hosts.LIMITS[name]}
        for name, value in low.items():
            hint = f"Run there: sysctl -w {name}={hosts.LIMITS[name]}, and write it to /etc/sysctl.d/."
            what = f"{name} is {value}, want {hosts.LIMITS[name]} or more"
            yield Finding(check="limits", host=seen.name, what=what, hint=hint, warning=True, evidence=f"{hosts.proc(name)}: {value}")
