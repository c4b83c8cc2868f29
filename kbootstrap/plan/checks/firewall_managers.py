"""ufw and firewalld are not both active."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if seen.survey.ufw and seen.survey.active.issuperset(hosts.FIREWALL_UNITS):
            hint = "Keep one; run there: ufw disable, or: systemctl disable --now firewalld."
            evidence = "ufw.conf: ENABLED=yes; firewalld.service: active"
            yield Finding(
                check="firewall-managers", host=seen.name, what="ufw and firewalld are both active", hint=hint, warning=True, evidence=evidence
            )
