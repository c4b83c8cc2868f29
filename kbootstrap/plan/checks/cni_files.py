"""No other network configuration: containerd takes the first by name. With plugin none they are the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename

from kbootstrap.catalog import hosts, paths
from kbootstrap.model.cluster import Plugin
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    if context.spec.network.plugin is Plugin.NONE:
        return
    ours = basename(paths.CNI_CONFIG)
    for seen in context.hosts():
        if others := [name for name in seen.survey.cni if name != ours]:
            first = [name for name in others if name < ours]
            what = f"{hosts.CNI_FOLDER} holds {', '.join(others)}" + (f", which come{'s' if len(first) == 1 else ''} before ours" if first else "")
            hint = f"Run there: rm {' '.join(f'{hosts.CNI_FOLDER}/{name}' for name in others)}."
            yield Finding(
                check="cni-files", host=seen.name, what=what, hint=hint, warning=not first, evidence=f"{hosts.CNI_FOLDER}: {' '.join(others)}"
            )
