"""Forwarding is on, or can be switched on."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        for name, said in seen.survey.sysctls.items():
            value, _, mode = said.partition(" ")
            left = seen.host.host.sysctl == "leave"
            if value != "1" and (mode == "ro" or left):
                why = "host: {sysctl: leave} does not let us change it" if left else "it cannot be written"
                hint = f"Run there: sysctl -w {name}=1." if left else "Mount /proc/sys writable, or set it where this host's kernel is."
                evidence = f"{hosts.proc(name)}: {said}"
                yield Finding(check="sysctl", host=seen.name, what=f"{name} is {value}, want 1, and {why}", hint=hint, evidence=evidence)
