"""No other etcd's data lies where ours will live. A worker has none, and none of ours."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if hosts.ETCD_MEMBER in seen.survey.remains and not seen.installed and seen.host.is_master:
            what = f"{hosts.ETCD_MEMBER} holds an etcd member's data that we did not put there"
            hint = f"Save it if anybody needs it, then run there: rm -r {hosts.ETCD_MEMBER}."
            yield Finding(check="etcd-data", host=seen.name, what=what, hint=hint, evidence=f"{hosts.ETCD_MEMBER} exists, and no ledger of ours")
