"""Which hosts still have the files of a time before: so a change that was cut off is told apart from any other difference."""

from __future__ import annotations

from collections.abc import Mapping

from kbootstrap.model.desired import Desired
from kbootstrap.model.facts import Observed
from kbootstrap.model.resource import File


def outdated(before: Desired, now: Desired, observed: Mapping[str, Observed]) -> tuple[str, ...]:
    """The hosts with a file as *before* wanted it and *now* does not, or with a unit that was started with it and still runs."""
    return tuple(name for name, seen in observed.items() if _holds(seen, _files(before, name).items() - _files(now, name).items()))


def _files(desired: Desired, host: str) -> dict[str, str]:
    """Path → sha256."""
    return {resource.name: resource.sha256 for resource in desired.resources(host) if isinstance(resource, File)}


def _holds(seen: Observed, gone: set[tuple[str, str]]) -> bool:
    lying = {(path, each.sha256) for path, each in seen.kinds.get("file", {}).items()}
    running = {pair for unit in seen.kinds.get("service", {}).values() if unit.active for pair in unit.started.items()}
    return not gone.isdisjoint(lying | running)
