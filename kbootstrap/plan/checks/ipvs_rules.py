"""No virtual servers of another installation in the kernel, and not their interface."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog.traces import IPVS_LINK
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        link = any(link.name == IPVS_LINK for link in seen.survey.links)
        if not seen.installed and (link or seen.survey.ipvs):
            found = [*([f"the interface {IPVS_LINK}"] if link else []), *([f"virtual servers ({seen.survey.ipvs})"] if seen.survey.ipvs else [])]
            hint = f"Reboot it, or run there: ipvsadm -C; ip link delete {IPVS_LINK}."
            what = f"IPVS of another installation is left: {' and '.join(found)}"
            yield Finding(check="ipvs-rules", host=seen.name, what=what, hint=hint, evidence=", ".join(found))
