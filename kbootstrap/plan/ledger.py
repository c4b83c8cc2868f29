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
from kbootstrap.errors import PreflightError
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Change

PATH_KINDS = ("file", "binary", "directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """*entries*: key (path or ``kind/name``) → ``{"kind", "before"}``; before is None (absent), a backup's path, or a former value."""

    cluster_id: str = ""
    cluster: str = ""
    version: str = ""
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.cluster_id

    def dump(self) -> bytes:
        """JSON with sorted keys: equal ledgers are equal bytes."""
        document = {"cluster_id": self.cluster_id, "cluster": self.cluster, "version": self.version, "entries": dict(self.entries)}
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def parse(text: str, host: str) -> Ledger:
    """The ledger as it lies on *host*; empty text is an empty ledger. PreflightError if it is damaged: it decides what may be removed."""
    if not text.strip():
        return Ledger()
    try:
        document = json.loads(text)
        return Ledger(
            cluster_id=str(document["cluster_id"]), cluster=str(document["cluster"]), version=str(document["version"]), entries=document["entries"]
        )
    except (ValueError, KeyError, TypeError) as error:
        hint = f"Restore it from a backup of the host, or move it away if the host never belonged to a cluster: {paths.LEDGER}"
        raise PreflightError(f"{paths.LEDGER} is damaged: {error}", host=host, hint=hint) from error


def backup(path: str) -> str:
    """Where the former content of *path* is kept on the host."""
    return f"{paths.BEFORE}/{hashlib.sha256(path.encode()).hexdigest()[:32]}"


def _before(change: Change, observed: Observed) -> Any:
    kind = change.resource.kind if change.resource else ""
    seen = observed.kinds.get(kind, {}).get(change.resource.name if change.resource else "")
    if seen is None or kind == "service":
        return None
    if kind in ("file", "binary"):
        return backup(change.key)
    return change.before if kind == "sysctl" else True


def record(ledger: Ledger, changes: Iterable[Change], observed: Observed) -> Ledger:
    """The ledger with every resource of *changes* in it; what is in it already keeps its first «before»."""
    entries = dict(ledger.entries)
    for change in changes:
        if change.resource is not None and change.key not in entries:
            entries[change.key] = {"kind": change.resource.kind, "before": _before(change, observed)}
    return replace(ledger, entries=entries)
