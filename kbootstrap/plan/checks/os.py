"""The distribution is one that this was tried on, or its kin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kbootstrap.plan.checks.finding import Context, Finding

OLDEST: Final = {"debian": 11, "ubuntu": 22, "rhel": 9, "rocky": 9, "almalinux": 9, "centos": 9, "ol": 9, "fedora": 38, "raspbian": 11}


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        name, _, version = seen.facts.os.partition(" ")
        major = int(version.partition(".")[0]) if version.partition(".")[0].isdigit() else 0
        if not name or (name in OLDEST and (not major or major >= OLDEST[name])):
            continue
        what = f"runs {seen.facts.os}, older than {name} {OLDEST[name]}" if name in OLDEST else f"runs {name}, which nobody tried this on"
        hint = "Use Debian 11, Ubuntu 22.04, RHEL 9 or newer, or say that you know: preflight: {waive: {os: …}}."
        yield Finding(check="os", host=seen.name, what=what, hint=hint, warning=True, evidence=f"/etc/os-release: {seen.facts.os}")
