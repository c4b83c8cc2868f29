"""AppArmor is on and its profiles can be loaded; without its parser containerd leaves containers unconfined."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        if seen.survey.apparmor and "apparmor_parser" in seen.survey.missing:
            what = "has AppArmor switched on, and nothing that loads its profiles"
            hint = "Run there: apt-get install apparmor."
            yield Finding(check="apparmor", host=seen.name, what=what, hint=hint, warning=True, evidence="no apparmor_parser")
