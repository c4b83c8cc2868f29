"""Pods' and services' networks are nobody else's: no route or address of the host lies in them, and none contains them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network

from kbootstrap.catalog.traces import IPVS_LINK
from kbootstrap.plan.checks.finding import Context, Finding, Seen
from kbootstrap.render.network import BRIDGE, ROUTE_PROTOCOL, VXLAN_DEVICE

_OURS = (BRIDGE, VXLAN_DEVICE, IPVS_LINK)


def check(context: Context) -> Iterator[Finding]:
    mine = {"pods": context.spec.network.pods, "services": context.spec.network.services}
    for seen in context.hosts():
        told = set[str]()
        for network, text in sorted(_networks(seen), key=lambda each: -each[0].prefixlen):  # what lies inside is worse than what is around
            for name, wanted in mine.items():
                if not network.overlaps(wanted) or name in told:
                    continue
                told.add(name)
                inside = network.subnet_of(wanted)
                what = f"its network {network} {'lies in' if inside else 'contains'} that of {name}, {wanted}"
                hint = f"Choose another network.{name} in cluster.yml, before the cluster exists."
                yield Finding(check="network-overlap", host=seen.name, what=what, hint=hint, warning=not inside, evidence=text)


def _networks(seen: Seen) -> Iterator[tuple[IPv4Network, str]]:
    for route in seen.survey.routes:
        if route.network.prefixlen and route.link not in _OURS and f"proto {ROUTE_PROTOCOL}" not in route.text:
            yield route.network, f"ip route: {route.text}"
    for link in seen.survey.links:
        if link.name not in _OURS:
            yield from ((IPv4Interface(address).network, f"ip address: {address} on {link.name}") for address in link.addresses)
