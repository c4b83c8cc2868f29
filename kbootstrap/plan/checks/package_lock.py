"""The package manager is free, where a package must be installed. It is waited for, but what holds it for hours is better known now."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.model.cluster import EndpointKind
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    if context.spec.endpoint.kind is not EndpointKind.HAPROXY:
        return
    for seen in context.hosts():
        if seen.survey.locks and "haproxy" in seen.survey.missing:
            path, pid, command = [*seen.survey.locks[0].split(" ", 2), "", ""][:3]
            what = f"the package manager is busy: {path} is held by pid {pid} ({command}), and haproxy must be installed"
            hint = f"Let it finish (look there: ps -fp {pid}), or use endpoint: gateway, which needs no package."
            yield Finding(check="package-lock", host=seen.name, what=what, hint=hint, warning=True, evidence=f"/proc/locks: {path} pid {pid}")
