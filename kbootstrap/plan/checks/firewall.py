"""Of a firewall that is only reported on (manage: report) it is said what the cluster needs it to let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kbootstrap.model.host import FirewallMode
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.resources import firewall
from kbootstrap.resources.firewall.look import Seen
from kbootstrap.rolebook.openings import NAME, openings


def check(context: Context) -> Iterator[Finding]:
    for host in context.spec.hosts:
        observed = context.observed.get(host.name)
        seen: Seen | None = observed.kinds.get("firewall", {}).get(NAME) if observed else None
        if host.firewall.manage is not FirewallMode.REPORT or seen is None or not seen.filters:
            continue
        want = replace(openings(context.spec, host), opens=True)
        if firewall.diff(want, seen):
            active = ", ".join(seen.filters)
            what = f"{active} may drop what the cluster needs, which is to {', '.join(map(str, want.rules))}"
            hint = "Open it yourself (invoke ports.check proves it), or set firewall: {manage: true}."
            yield Finding(check="firewall", host=host.name, what=what, hint=hint, warning=True, evidence=f"active: {active}")
