"""A firewall that we may not open lets the cluster in already; else it is said what it would have to let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kbootstrap.model.cluster import FirewallMode
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.resources import firewall
from kbootstrap.resources.firewall.look import Seen
from kbootstrap.rolebook.openings import NAME, openings


def check(context: Context) -> Iterator[Finding]:
    for host in context.spec.hosts:
        observed = context.observed.get(host.name)
        seen: Seen | None = observed.kinds.get("firewall", {}).get(NAME) if observed else None
        if host.firewall.opens or seen is None or not seen.filters:
            continue
        want = replace(openings(context.spec, host), opens=True)
        if difference := firewall.diff(want, seen):
            told = f"; it would have to {', '.join(map(str, want.rules))}" if host.firewall.manage is FirewallMode.REPORT else ""
            hint = "Open it yourself (invoke ports.check proves it), or set firewall: {manage: true}."
            evidence = f"active: {', '.join(seen.filters)}"
            what = f"{difference.reason}, and firewall.manage is {host.firewall.manage}{told}"
            yield Finding(check="firewall", host=host.name, what=what, hint=hint, warning=True, evidence=evidence)
