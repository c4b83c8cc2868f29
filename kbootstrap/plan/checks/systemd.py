"""systemd runs the host, and is new enough for LoadCredential= (247)."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

OLDEST = 247


def check(context: Context) -> Iterator[Finding]:
    for name, seen in context.observed.items():
        version = seen.facts.systemd
        if version < OLDEST:
            what = f"systemd is {version}, want {OLDEST} or newer" if version else "is not run by systemd"
            hint, evidence = "Use Debian 11, Ubuntu 22.04, RHEL 9 or newer.", f"systemctl --version: {version or 'not run by it'}"
            yield Finding(check="systemd", host=name, what=what, hint=hint, evidence=evidence)
