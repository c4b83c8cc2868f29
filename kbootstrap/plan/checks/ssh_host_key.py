"""No two hosts share an SSH host key."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen, other, mark in context.twins(lambda seen: sorted(seen.survey.host_keys)):
        what = f"has the same SSH host key as {other.name} (a clone?)"
        hint = "Run there: rm /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl restart ssh; then here: invoke inventory.trust."
        kind, _, key = str(mark).partition(" ")
        yield Finding(check="ssh-host-key", host=seen.name, what=what, hint=hint, evidence=f"{kind} …{key[-12:]}")
