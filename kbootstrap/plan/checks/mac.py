"""No two hosts have the same MAC on the interface that holds the inventory's address."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding, Seen

NONE = ("", "00:00:00:00:00:00")


def check(context: Context) -> Iterator[Finding]:
    for seen, other, mark in context.twins(_macs):
        what = f"has the same MAC {mark} as {other.name} (a clone?)"
        hint = "Give the virtual machine a MAC of its own in its hypervisor."
        yield Finding(check="mac", host=seen.name, what=what, hint=hint, evidence=f"/sys/class/net: {mark}")


def _macs(seen: Seen) -> list[str]:
    wanted = f"{seen.host.address}/"
    return [link.mac for link in seen.survey.links if link.mac not in NONE and any(address.startswith(wanted) for address in link.addresses)]
