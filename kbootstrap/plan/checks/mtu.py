"""The interface that holds the inventory's address carries what the pods' network expects of it."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.model.cluster import Plugin
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.render.network import link_mtu


def check(context: Context) -> Iterator[Finding]:
    wanted, given = link_mtu(context.spec), bool(context.spec.network.mtu)
    if context.spec.network.plugin is Plugin.NONE:
        return
    for seen in context.hosts():
        for link in seen.survey.links:
            holds = any(address.startswith(f"{seen.host.address}/") for address in link.addresses)
            if holds and 0 < link.mtu < wanted:
                what = f"{link.name} carries packets of {link.mtu} bytes, {'network.mtu is' if given else 'Ethernet has'} {wanted}"
                hint = f"Set network: {{mtu: {link.mtu}}} in cluster.yml, or on every host: ip link set {link.name} mtu {wanted}."
                evidence = f"/sys/class/net/{link.name}/mtu: {link.mtu}"
                yield Finding(check="mtu", host=seen.name, what=what, hint=hint, warning=not given, evidence=evidence)
