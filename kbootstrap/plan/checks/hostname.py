"""The host's own name is the inventory's: kubelet registers under it, and we set no --hostname-override."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    names = {host.name for host in context.spec.hosts}
    for seen in context.hosts():
        found = seen.facts.hostname
        if found.lower() != seen.name:
            other = ", as another host is called" if found.lower() in names else ""
            hint = f"Run there: hostnamectl set-hostname {seen.name}; or rename it in cluster.yml."
            evidence = f"/proc/sys/kernel/hostname: {found}"
            yield Finding(check="hostname", host=seen.name, what=f"calls itself «{found}»{other}", hint=hint, evidence=evidence)
