"""Without a way out no host fetches a package: what the cluster needs of the distribution is there already."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.model.cluster import EndpointKind
from kbootstrap.plan.checks.finding import Context, Finding

_PACKAGE = "haproxy"


def check(context: Context) -> Iterator[Finding]:
    if not context.spec.artifacts.offline or context.spec.endpoint.kind is not EndpointKind.HAPROXY:
        return
    for seen in context.hosts():
        if _PACKAGE in seen.survey.missing:
            what = f"{_PACKAGE} is not installed, and with offline: true no package is fetched"
            hint = f"Install it there from your own media, write «endpoint: gateway», or waive it where a package server of yours has {_PACKAGE}."
            yield Finding(check="offline", host=seen.name, what=what, hint=hint, evidence=f"command -v {_PACKAGE}: nothing")
