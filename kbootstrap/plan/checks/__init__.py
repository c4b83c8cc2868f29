"""Preflight checks, a module each: ``check(context) -> Iterator[Finding]``; and the health gates (``gates.py``).

A check reads facts only, never contacts anything. To add one: ``<id>.py`` and its line in ``CHECKS``. Its id is its file's name with hyphens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from kbootstrap.plan.checks import address, architecture, cgroup, clock, cluster_marker, hostname, machine_id, swap, systemd
from kbootstrap.plan.checks.finding import Context, Finding

Check = Callable[[Context], Iterator[Finding]]

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "address": address.check,
        "architecture": architecture.check,
        "cgroup": cgroup.check,
        "clock": clock.check,
        "cluster-marker": cluster_marker.check,
        "hostname": hostname.check,
        "machine-id": machine_id.check,
        "swap": swap.check,
        "systemd": systemd.check,
    }
)


def preflight(context: Context) -> tuple[Finding, ...]:
    """Every finding of every check on every host, at once."""
    return tuple(finding for check in CHECKS.values() for finding in check(context))
