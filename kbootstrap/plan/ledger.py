"""The ledger on a host (``paths.LEDGER``): what we put there and what was there before.

Written before the change that it describes. It refuses another cluster's inventory, finds what a role no longer declares, and makes
``cluster.down`` surgical: nothing that is not in it is ever removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kbootstrap.catalog import paths
from kbootstrap.errors import PreflightError, Problem
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Resource
from kbootstrap.resources import swap

PATH_KINDS = ("file", "binary", "directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """*entries*: key (path or ``kind/name``) → ``{"kind", "before"}``; before is None (absent), a backup's path, or what was there.

    *path*: where it lies; a role that is applied by itself has one of its own.
    """

    cluster_id: str = ""
    cluster: str = ""
    version: str = ""
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    path: str = field(default_factory=lambda: paths.LEDGER)

    @property
    def empty(self) -> bool:
        return not self.cluster_id

    def backup(self, path: str) -> str:
        """Where the former content of *path* is kept on the host. A role's is not with the cluster's, which goes when the cluster leaves."""
        return backup(path, paths.BEFORE if self.path == paths.LEDGER else paths.ROLE_BEFORE)

    def dump(self) -> bytes:
        """JSON with sorted keys: equal ledgers are equal bytes."""
        document = {"cluster_id": self.cluster_id, "cluster": self.cluster, "version": self.version, "entries": dict(self.entries)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def parse(text: str, host: str, *, path: str = "") -> Ledger:
    """The ledger as it lies on *host*, at *path* if not at its usual place; empty text is an empty ledger.

    PreflightError if it is damaged: it decides what may be removed.
    """
    path = path or paths.LEDGER
    if not text.strip():
        return Ledger(path=path)
    try:
        document = json.loads(text)
        entries = {key: {"kind": entry["kind"], "before": entry["before"]} for key, entry in document["entries"].items()}
        identity = {name: str(document[name]) for name in ("cluster_id", "cluster", "version")}
        return Ledger(**identity, entries=entries, path=path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"Restore it from a backup of the host, or move it away if the host never belonged to a cluster: {path}"
        raise PreflightError(f"{path} is damaged: {type(error).__name__}: {error}", host=host, hint=hint) from error


def stranger(ledger: Ledger, cluster_id: str) -> Problem | None:
    """Why the host of *ledger* is not ours to touch; None when it is, or nothing was ever installed on it."""
    if ledger.empty or ledger.cluster_id == cluster_id:
        return None
    what = f"belongs to another cluster, «{ledger.cluster}» ({ledger.cluster_id})"
    return Problem(where=paths.LEDGER, what=what, hint="Use that cluster's inventory; if it is given up, invoke cluster.down --foreign.")


def backup(path: str, folder: str = "") -> str:
    """Where the cluster keeps the former content of *path* on the host; *folder*: where somebody else does."""
    return f"{folder or paths.BEFORE}/{hashlib.sha256(path.encode()).hexdigest()[:32]}"


def _before(ledger: Ledger, resource: Resource, seen: Any) -> Any:
    """Of what is *seen* where *resource* goes, as much as bringing it back needs."""
    match resource.kind:
        case "file" | "binary":
            return ledger.backup(resource.key)
        case "directory":
            return {"mode": f"{seen.mode:04o}", "owner": seen.owner} if seen.type == "directory" else ledger.backup(resource.key)
        case "service":
            return {"enabled": seen.state.get("UnitFileState") == "enabled", "active": seen.active}
        case "sysctl":
            return seen
        case "swap":
            return swap.was_on(seen)
        case _:
            return True


def record(ledger: Ledger, changes: Iterable[Change], observed: Observed) -> Ledger:
    """The ledger with every resource of *changes* in it; what is in it already keeps its first «before».

    It also gets what ``plan/before.py`` saw, which is silent about what is in it.
    """
    entries = {**observed.kinds.get("before", {}), **ledger.entries}
    for change in changes:
        resource = change.resource
        if resource is not None and change.key not in entries:
            seen = observed.kinds.get(resource.kind, {}).get(resource.name)
            entries[change.key] = {"kind": resource.kind, "before": None if seen is None else _before(ledger, resource, seen)}
    return replace(ledger, entries=entries)


def forget(ledger: Ledger, changes: Iterable[Change]) -> Ledger:
    """The ledger once the deletions among *changes* were done: what is gone is nobody's any more."""
    gone = {change.key for change in changes if change.action is Action.DELETE}
    return replace(ledger, entries={key: entry for key, entry in ledger.entries.items() if key not in gone})
