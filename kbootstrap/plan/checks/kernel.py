"""The kernel is new enough for containers, and for what kube-proxy was told to use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kbootstrap.model.host import ProxyMode
from kbootstrap.plan.checks.finding import Context, Finding

OLDEST = (5, 4)
FOR_NFTABLES = (5, 13)  # kube-proxy refuses to start in nftables mode on an older one


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        match = re.match(r"(\d+)\.(\d+)", seen.facts.kernel)
        nftables = seen.host.proxy.mode is ProxyMode.NFTABLES
        oldest = FOR_NFTABLES if nftables else OLDEST
        if match and (int(match[1]), int(match[2])) < oldest:
            what = f"its kernel is {seen.facts.kernel}, want {oldest[0]}.{oldest[1]} or newer{' for proxy mode nftables' if nftables else ''}"
            hint = "Install a newer kernel and reboot" + (", or set proxy: {mode: iptables}." if nftables else ".")
            yield Finding(check="kernel", host=seen.name, what=what, hint=hint, evidence=f"uname -r: {seen.facts.kernel}")
