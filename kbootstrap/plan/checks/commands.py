"""The commands that daemons and our own steps call."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.model.cluster import Plugin
from kbootstrap.plan.checks.finding import Context, Finding, Seen


def check(context: Context) -> Iterator[Finding]:
    vxlan = context.spec.network.plugin is Plugin.VXLAN
    for seen in context.hosts():
        if missing := [command for command in hosts.COMMANDS if command in seen.survey.missing and _needed(seen, command, vxlan=vxlan)]:
            packages = " ".join(sorted({hosts.COMMANDS[command] for command in missing}))
            what = f"lacks the command{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            hint = f"Run there: apt-get install {packages} (elsewhere the packages may be called otherwise)."
            yield Finding(check="commands", host=seen.name, what=what, hint=hint, evidence=f"command -v {missing[0]}: nothing")


def _needed(seen: Seen, command: str, *, vxlan: bool) -> bool:
    match command:
        case "bridge":
            return vxlan
        case "modprobe":
            return seen.host.host.modules == "load"
        case "swapoff":
            return seen.host.host.swap == "off"
        case _:
            return True
