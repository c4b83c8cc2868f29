"""No other container runtime: one that runs is refused, one that only lies there is told. containerd itself is judged only before ours comes."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        for name, listed in hosts.RUNTIMES.items():
            if name == "containerd" and seen.installed:
                continue
            found = [path for path in listed if path in seen.survey.remains]
            running = [unit for unit in seen.survey.active if hosts.RUNTIME_UNITS.get(unit) == name]
            if found or running:
                units = " ".join(running) or f"{name.lower()}.service"
                what = f"{name} {'runs' if running else 'is installed'} here ({', '.join(running + found)})"
                hint = f"Run there: systemctl disable --now {units}; and remove its package and data."
                yield Finding(check="other-runtime", host=seen.name, what=what, hint=hint, warning=not running, evidence=", ".join(running + found))
