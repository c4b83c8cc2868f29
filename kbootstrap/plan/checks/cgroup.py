"""kubelet 1.35 and newer refuse cgroup v1 unless told otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        if seen.facts.cgroup == "v1" and not context.spec.host(name).kubelet.allow_cgroup_v1:
            hint = "Boot with systemd.unified_cgroup_hierarchy=1, or set kubelet: {allow_cgroup_v1: true}."
            yield Finding(
                check="cgroup", host=name, what="uses cgroup v1, which kubelet refuses", hint=hint, evidence="no /sys/fs/cgroup/cgroup.controllers"
            )
