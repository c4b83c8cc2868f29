"""No other installer's cluster, or what is left of one, lies on the host."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import hosts
from kbootstrap.catalog.installers import BY_NAME
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        for name, listed in hosts.REMAINS.items():
            found = [path for path in listed if path in seen.survey.remains]
            running = [unit for unit in seen.survey.active if hosts.INSTALLER_UNITS.get(unit) == name]
            if found or running:
                what = f"{name} {'runs' if running else 'was installed'} here ({', '.join(running + found)})"
                known = BY_NAME[name]
                hint = (
                    f"Run there: {known.away}."
                    if known.listed
                    else f"invoke cluster.down --foreign lists what it left and removes just that; or its own way: {known.away}."
                )
                yield Finding(check="other-installer", host=seen.name, what=what, hint=hint, evidence=", ".join(running + found))
