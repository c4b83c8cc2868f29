"""The host has a resolver that answers. Where hosts pull images they cannot do without; else it is the pods who would miss it."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.model.cluster import ImageSource
from kbootstrap.plan.checks.finding import Context, Finding

SLOW_S = 0.9  # the question waits one second for an answer


def check(context: Context) -> Iterator[Finding]:
    pulled = context.spec.artifacts.images is ImageSource.PULL
    hint = "Write a nameserver that this host reaches to /etc/resolv.conf (or to systemd-resolved: resolvectl dns)."
    for seen in context.hosts():
        lookup, servers = seen.survey.lookup, seen.survey.nameservers
        if servers is not None and not servers:
            what = "/etc/resolv.conf names no nameserver" + (", and images are pulled" if pulled else "")
            yield Finding(check="dns", host=seen.name, what=what, hint=hint, warning=not pulled, evidence="/etc/resolv.conf: no line «nameserver»")
        elif lookup is not None and not lookup.found and (pulled or lookup.seconds > SLOW_S):
            silent = f"no nameserver answers ({', '.join(servers or ())})" if lookup.seconds > SLOW_S else f"{lookup.name} does not resolve"
            what = silent + (", and images are pulled from there" if pulled else "")
            evidence = f"getent ahostsv4 {lookup.name}: nothing after {lookup.seconds:.1f} s"
            yield Finding(check="dns", host=seen.name, what=what, hint=hint, warning=not pulled, evidence=evidence)
