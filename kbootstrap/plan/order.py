"""A plan's changes in another order: new certificates lie on every host before anything restarts for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import File, Service
from kbootstrap.pki.profiles import KUBECONFIGS, PLACES
from kbootstrap.resources import service
from kbootstrap.resources.difference import sh

CERTIFICATES: Final = "CERTIFICATES"
FILES: Final = frozenset({path for place in PLACES.values() for path in (place.cert, place.key) if path} | {paths.kubeconfig(c) for c in KUBECONFIGS})
ETCD: Final = "service/etcd.service"

_NEW: Final = f"{service.RESTART}: new "
_UNLESS: Final = """\
if ! systemctl is-active --quiet {unit} || ! grep -E '^[0-9a-f]{{64}} ' {record} | sha256sum -c --status; then
{commands}fi
"""


def files_first(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """*stages* behind one that replaces the certificates of all hosts.

    An etcd member reads its own at every handshake: with them on all hosts, one that restarts and those that run accept each other, even where
    all had expired. What restarts with another unit (an API server with its member) has read them then, and is not restarted again.
    """
    moved: dict[str, list[Change]] = {}
    for change in (change for stage in stages for host in stage.hosts for change in host.changes):
        if _moves(change):
            moved.setdefault(change.host, []).append(change)
    if not moved:
        return tuple(stages)
    first = Stage(name=CERTIFICATES, hosts=tuple(HostPlan(host=host, changes=tuple(changes)) for host, changes in moved.items()))
    rest = [replace(stage, hosts=tuple(_behind(host, moved.get(host.host, ())) for host in stage.hosts)) for stage in stages]
    rest = [replace(stage, hosts=tuple(host for host in stage.hosts if host.changes)) for stage in rest]
    return (first, *(stage for stage in rest if stage.hosts))


def _moves(change: Change) -> bool:
    """Only what replaces a file: where there is none yet, a stage may have to make its folder and its owner."""
    return isinstance(change.resource, File) and change.action is Action.UPDATE and change.key in FILES


def _behind(host: HostPlan, moved: Sequence[Change]) -> HostPlan:
    there = {change.key for change in moved}
    return replace(host, changes=tuple(_unless_started(change, there) for change in host.changes if change.key not in there))


def _unless_started(change: Change, there: set[str]) -> Change:
    """A restart that only files of *there* ask for is left out when the unit was started with them meanwhile."""
    if not isinstance(change.resource, Service) or not change.reason.startswith(_NEW) or ";" in change.reason:
        return change
    if not there.issuperset(change.reason.removeprefix(_NEW).split(", ")):
        return change
    unit = change.resource.name
    return replace(change, commands=_UNLESS.format(unit=sh(unit), record=sh(paths.started(unit)), commands=change.commands))


def together(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """*stages* in which no host waits for another: where etcd has no quorum, there is nothing that an order of work could protect."""
    return tuple(replace(stage, hosts=tuple(_not_alone(host) for host in stage.hosts)) for stage in stages)


def _not_alone(host: HostPlan) -> HostPlan:
    return replace(host, changes=tuple(replace(change, disruptive=False) for change in host.changes))


def needs_quorum(stages: Sequence[Stage]) -> bool:
    """Whether running members of etcd restart one after the other."""
    return sum(change.disruptive and change.key == ETCD for change in Plan(stages=tuple(stages)).changes()) > 1
