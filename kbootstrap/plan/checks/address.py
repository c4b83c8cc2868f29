"""The inventory's address is on an interface of the host (else certificates and routes would name somebody else)."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        wanted = str(context.spec.host(name).address)
        found = [a.partition("/")[0] for a in seen.facts.addresses]
        if wanted not in found:
            what = f"address {wanted} is on none of its interfaces (found {', '.join(a for a in found if a != '127.0.0.1') or 'none'})"
            yield Finding(check="address", host=name, what=what, hint=f"Correct hosts…{name}.address in cluster.yml; ssh.host may differ from it.")
