"""Kernel modules whose effect is there, or can be had. Built-in ones have no module; some kernels tell of none at all."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

_REASONS = {
    "overlay": "containers",
    "br_netfilter": "services reached by pods of the same host",
    "nf_conntrack": "services",
    "vxlan": "network plugin vxlan",
    "ip_vs": "proxy mode ipvs",
}


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        may_load = seen.host.host.modules == "load"
        wrong = [name for name, state in seen.survey.modules.items() if state == "absent"]
        for name in wrong:
            what = f"has no kernel module {name}, needed for {_REASONS[name]}"
            hint = f"Install the package with this kernel's modules (linux-modules-extra, kernel-modules); there: modprobe {name}."
            evidence = f"neither /sys/module/{name} nor its effect; modprobe -n {name} fails"
            # Where we may not load modules others do it on demand: a container asks its machine's kernel, which has modules of its own.
            yield Finding(check="kernel-modules", host=seen.name, what=what, hint=hint, warning=not may_load, evidence=evidence)
