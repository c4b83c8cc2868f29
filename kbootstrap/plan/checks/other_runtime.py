"""No other container runtime: one that runs is refused, one that only lies there is told.

Of a containerd only is said that ours takes its place, unit and socket: ``cluster.down`` gives them back. Once ours is there all of it is ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.plan.checks.finding import Context, Finding

_REPLACED = "containerd"


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        for name, listed in hosts.RUNTIMES.items():
            found = [path for path in listed if path in seen.survey.remains]
            running = [unit for unit in seen.survey.active if hosts.RUNTIME_UNITS.get(unit) == name]
            if (not found and not running) or (name == _REPLACED and seen.installed):
                continue
            what = f"{name} {'runs' if running else 'is installed'} here ({', '.join(running + found)})"
            what += "; ours will take its place until cluster.down" if name == _REPLACED else ""
            refused = bool(running) and name != _REPLACED
            hint = f"Run there: systemctl disable --now {' '.join(running) or f'{name.lower()}.service'}; and remove its package and data."
            yield Finding(check="other-runtime", host=seen.name, what=what, hint=hint, warning=not refused, evidence=", ".join(running + found))
