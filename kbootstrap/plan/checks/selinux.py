"""SELinux enforces: said, because its refusals look like faults of the network."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog.ports import API
from kbootstrap.model.cluster import EndpointKind
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    haproxy = context.spec.endpoint.kind is EndpointKind.HAPROXY
    for seen in context.hosts():
        if seen.survey.selinux == "1":
            what = "enforces SELinux" + (f"; haproxy must be allowed to connect to port {API.number}" if haproxy else "")
            hint = "Run there: " + ("setsebool -P haproxy_connect_any 1; and look for refusals: " if haproxy else "") + "ausearch -m avc -ts recent."
            yield Finding(check="selinux", host=seen.name, what=what, hint=hint, warning=True, evidence="/sys/fs/selinux/enforce: 1")
