"""No host has another's address. Vagrant's first interface is 10.0.2.15 on every machine: an inventory that names it names all of them."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.model.survey import Link
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    owner = {str(host.address): host.name for host in context.spec.hosts}
    for seen in context.hosts():
        found = [address.partition("/")[0] for address in seen.facts.addresses]
        for address in dict.fromkeys(found):
            other = owner.get(address, seen.name)
            if other == seen.name:
                continue
            shared = any(route.network.prefixlen == 0 and _holds(seen.survey.links, route.link, address) for route in seen.survey.routes)
            what = f"has {address} too, which is {other}'s address"
            hint = f"Take it off there: ip address show to {address}."
            if shared:
                hint = f"It is the way out of every such machine (NAT): give {other} in cluster.yml the address of the network between the hosts."
            yield Finding(check="unique-address", host=seen.name, what=what, hint=hint, evidence=f"ip -4 address: {address}")


def _holds(links: tuple[Link, ...], name: str, address: str) -> bool:
    return any(link.name == name and any(each.startswith(f"{address}/") for each in link.addresses) for link in links)
