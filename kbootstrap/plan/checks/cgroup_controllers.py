"""The cgroup controllers that kubelet insists on."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

NEEDED = frozenset({"cpu", "cpuset", "memory", "pids"})


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        found = seen.survey.controllers
        if found and (missing := sorted(NEEDED - found)):
            what = f"lacks the cgroup controller{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            hint = "Boot with " + " ".join(f"cgroup_enable={name}" for name in missing) + " on the kernel's command line."
            yield Finding(check="cgroup-controllers", host=seen.name, what=what, hint=hint, evidence=f"found: {' '.join(sorted(found))}")
