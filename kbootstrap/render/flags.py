"""Flags of a daemon as a mapping, so that a user's ``extra_args`` replace ours by name."""

from __future__ import annotations

from collections.abc import Mapping

from kbootstrap.model.host import Host


def arguments(component: str, ours: Mapping[str, object], host: Host) -> tuple[str, ...]:
    """``--flag=value`` for each of *ours* in order, then those that only *host* has for *component*. A flag of the user takes our flag's place."""
    merged = {flag: _value(value) for flag, value in ours.items()} | dict(host.extra_args.get(component, {}))
    return tuple(f"--{flag}={value}" for flag, value in merged.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return ",".join(str(item) for item in value)
    return str(value)
