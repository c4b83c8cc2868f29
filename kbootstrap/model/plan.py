"""A plan is a value: stages of host plans of changes, each with its reason. Nothing on a host changes except by executing one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from kbootstrap.model.resource import Blob, Resource

CLUSTER = "cluster"  # the pseudo host of changes that go to the Kubernetes API through any healthy master


class Action(StrEnum):
    """What happens to a resource, by the symbol that output shows."""

    CREATE = "+"
    UPDATE = "~"
    DELETE = "-"
    RUN = "!"  # start, restart, reload: no content changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of one resource; *reason* is a sentence («mode 0644, want 0600»).

    *commands* is POSIX sh text that reads exactly ``len(payload)`` bytes of standard input; *blob* must lie in the host's store before.
    *before* and *after* are texts for a unified diff (empty where there is nothing to show, digests for secrets).
    """

    host: str
    key: str
    action: Action
    reason: str
    commands: str = field(repr=False)
    payload: bytes = field(default=b"", repr=False)
    blob: Blob | None = None
    before: str | None = field(default=None, repr=False)
    after: str | None = field(default=None, repr=False)
    resource: Resource | None = field(default=None, repr=False)
    disruptive: bool = False  # a running, serially rolled service restarts
    deadline_s: float = 60.0

    @property
    def id(self) -> str:
        """``<host>:<path>`` or ``<host>:<kind>/<name>``, everywhere the same."""
        return f"{self.host}:{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A condition to wait for on a host: sh text that ends with 0 once it holds, and else with its autopsy."""

    name: str
    text: str = field(repr=False)
    deadline_s: float = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """A host's changes in one stage, in their order, and the gates that must pass behind them."""

    host: str
    changes: tuple[Change, ...]
    gates: tuple[Gate, ...] = ()

    @property
    def serial(self) -> bool:
        """Whether this host must go alone: a running member of something that counts for quorum restarts."""
        return any(change.disruptive for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One of the nine stages; hosts without changes are not in it."""

    name: str
    hosts: tuple[HostPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be done, complete; empty means the hosts are as desired."""

    stages: tuple[Stage, ...]

    def changes(self) -> Iterator[Change]:
        """Every change in order."""
        for stage in self.stages:
            for host in stage.hosts:
                yield from host.changes

    @property
    def empty(self) -> bool:
        return not any(True for _ in self.changes())
