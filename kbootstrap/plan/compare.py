"""Desired against observed, one host at a time: the changes, each with its reason."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import ContainerImage, Resource, Service
from kbootstrap.plan.ledger import Ledger
from kbootstrap.resources import KINDS, service
from kbootstrap.resources.difference import Difference, lines, sh

RELOAD = "systemd/daemon-reload"


def _keep_before(resource: Resource, difference: Difference, ledger: Ledger) -> str:
    """A foreign file that we are about to replace is copied away first, once; the ledger is older than the copy, as a run may end between them."""
    kept = ledger.backup(resource.name)
    ours = resource.key in ledger.entries and ledger.entries[resource.key]["before"] != kept
    if resource.kind == "directory" and not difference.content:
        return ""  # its mode and owner are in the ledger; its content stays
    if resource.kind not in ("file", "binary", "directory") or difference.action is not Action.UPDATE or ours:
        return ""
    new = f"{kept}.new"
    copy = f"rm -rf {new}; cp -a -- {sh(resource.name)} {new}; mv -T {new} {kept}"
    return f"mkdir -p -m 0700 {kept.rpartition('/')[0]}; [ -e {kept} ] || [ -L {kept} ] || {{ {copy}; }}"


def _change(host: str, resource: Resource, difference: Difference, ledger: Ledger, disruptive: bool) -> Change:
    order = KINDS[resource.kind].commands(resource, difference)
    return Change(
        host=host,
        key=resource.key,
        action=difference.action,
        reason=difference.reason,
        commands=sys.intern(lines(_keep_before(resource, difference, ledger)) + order.text),  # most are the same on every host
        payload=order.payload,
        blob=order.blob,
        before=difference.before,
        after=difference.after,
        resource=resource,
        disruptive=disruptive,
        deadline_s=order.deadline_s,
    )


def _reload(host: str) -> Change:
    text = "systemctl daemon-reload\n"
    return Change(host=host, key=RELOAD, action=Action.RUN, reason="unit files changed", commands=text)


def _brought(changes: Iterable[Change]) -> frozenset[str]:
    """The paths that get another content; one whose mode or owner is mended is no reason to restart anything."""
    return frozenset(c.key for c in changes if c.payload or c.blob)


def compare_stage(host: str, wanted: Wanted, observed: Observed, ledger: Ledger, earlier: Sequence[Change] = ()) -> tuple[Change, ...]:
    """The changes of one host in one stage: services behind one reload of systemd where a unit file changed, then the images they import.

    *earlier* are the host's changes of the stages before: a service may depend on what those bring.
    """
    changes: list[Change] = []
    services: list[Change] = []
    reload = False
    for resource in wanted.resources:
        seen = observed.kinds.get(resource.kind, {}).get(resource.name)
        if isinstance(resource, Service):
            reload = reload or (seen is not None and seen.state.get("NeedDaemonReload") == "yes")
            difference = service.diff(resource, seen, _brought((*earlier, *changes)))
            disruptive = resource.serial and seen is not None and seen.active
            if difference:
                services.append(_change(host, resource, difference, ledger, disruptive))
        elif difference := KINDS[resource.kind].diff(resource, seen):
            changes.append(_change(host, resource, difference, ledger, disruptive=False))
    reload = reload or any(key.startswith(f"{paths.UNITS}/") for key in _brought(changes))
    imports = [c for c in changes if isinstance(c.resource, ContainerImage)]
    return (*(c for c in changes if c not in imports), *((_reload(host),) if reload else ()), *services, *imports)


def stale(host: str, desired: Desired, ledger: Ledger) -> tuple[Change, ...]:
    """What the ledger says is ours and no role declares any more: units stopped, then files removed."""
    wanted = {resource.key for resource in desired.resources(host)}
    changes = []
    for key, entry in ledger.entries.items():
        if key in wanted or entry["kind"] not in ("file", "binary", "service"):
            continue
        changes.append(_delete(host, key, entry))
    reload = (_reload(host),) if any(c.key.startswith(f"{paths.UNITS}/") for c in changes) else ()
    return (*sorted(changes, key=lambda c: not c.key.startswith("service/")), *reload)


def _delete(host: str, key: str, entry: Mapping[str, object]) -> Change:
    if entry["kind"] == "service":
        unit = sh(key.removeprefix("service/"))
        text = f"! systemctl cat {unit} >/dev/null 2>&1 || systemctl disable --now {unit}\n"
    elif entry["before"]:
        text = lines(f"[ ! -e {sh(str(entry['before']))} ] || mv -fT -- {sh(str(entry['before']))} {sh(key)}")
    else:
        text = lines(f"rm -f -- {sh(key)}")
    return Change(host=host, key=key, action=Action.DELETE, reason="no role declares it any more", commands=text)
