"""No packet rules of another installation: chains of kube-proxy, kubelet or a network plugin on a host that has nothing of ours.

Those of an installation that must go by its own way go with it, as ``other-installer`` says.
"""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog.installers import INSTALLERS
from kbootstrap.plan.checks.finding import Context, Finding

_SHOWN = 3
_STAYS = frozenset(sign for each in INSTALLERS if each.listed for sign in each.signs)


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        chains = seen.survey.chains
        if chains and not _STAYS.intersection(seen.survey.remains):
            shown = ", ".join(chains[:_SHOWN]) + (f" and {len(chains) - _SHOWN} more" if len(chains) > _SHOWN else "")
            hint = "invoke cluster.down --foreign lists them, and removes just these."
            what = f"packet rules of another installation are left: {shown}"
            yield Finding(check="foreign-rules", host=seen.name, what=what, hint=hint, evidence=f"nft list chains: {shown}")
