"""What a check sees, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Observed
from kbootstrap.plan.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """*warning* does not stop the run; *hint* is the command or edit that mends it."""

    check: str
    host: str
    what: str
    hint: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Everything known after one read of the reachable hosts. *ca_sha256* is of our own CA certificate's file."""

    spec: ClusterSpec
    observed: Mapping[str, Observed]
    ledgers: Mapping[str, Ledger]
    cluster_id: str
    ca_sha256: str
