"""The host's own name is the inventory's: kubelet registers under it, and we set no --hostname-override."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        if seen.facts.hostname.lower() != name:
            what = f"calls itself «{seen.facts.hostname}»"
            yield Finding(check="hostname", host=name, what=what, hint=f"Run there: hostnamectl set-hostname {name}; or rename it in cluster.yml.")
