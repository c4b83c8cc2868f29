"""/etc/hosts gives the host's own name to nobody else: loopback, or an address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        mine = {address.partition("/")[0] for address in seen.facts.addresses}
        foreign = [address for address in seen.survey.own_names if address not in mine and _elsewhere(address)]
        if foreign:
            what = f"/etc/hosts gives its own name to {', '.join(foreign)}, which {'are' if len(foreign) > 1 else 'is'} on none of its interfaces"
            hint = f"Write there in /etc/hosts: {seen.host.address} {seen.name}."
            yield Finding(check="hosts-file", host=seen.name, what=what, hint=hint, warning=True, evidence=f"/etc/hosts: {foreign[0]} {seen.name}")


def _elsewhere(address: str) -> bool:
    """IPv6 addresses are not judged: only the host's IPv4 addresses are known."""
    try:
        return ip_address(address).version == 4 and not ip_address(address).is_loopback
    except ValueError:
        return True
