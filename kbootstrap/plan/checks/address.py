"""The inventory's address is on an interface of the host (else certificates and routes would name somebody else)."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        wanted = str(seen.host.address)
        found = [a.partition("/")[0] for a in seen.facts.addresses]
        if wanted not in found:
            shown = ", ".join(a for a in found if a != "127.0.0.1") or "none"
            hint = f"Correct hosts…{seen.name}.address in cluster.yml; ssh.host may differ from it."
            what = f"address {wanted} is on none of its interfaces (found {shown})"
            yield Finding(check="address", host=seen.name, what=what, hint=hint, evidence=f"ip -4 address: {shown}")
