"""A change of the Kubernetes version, as it will be done: steps in their order, each with its hosts and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """*moves*: ``kubelet 1.35.4 → 1.36.1``, or what else changes there."""

    host: str
    moves: tuple[str, ...]
    drained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """*rows* in the order of work."""

    name: str
    reason: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """*origin* → *target*; *stays*: what keeps its version; *warnings*: what whoever agrees should know."""

    origin: str
    target: str
    steps: tuple[Step, ...]
    stays: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """As a person reads it before saying yes."""
        stays = f"; {' and '.join(self.stays)} {'stay' if len(self.stays) > 1 else 'stays'}" if self.stays else ""
        yield self._same() if self.origin == self.target else f"Kubernetes {self.origin} → {self.target}{stays}"
        width = max((len(row.host) for step in self.steps for row in step.rows), default=0)
        for number, step in enumerate(self.steps, 1):
            yield f"{number:>2}  {step.name}" + (f": {step.reason}" if step.reason else "")
            for row in step.rows:
                yield f"      {row.host:<{width}}  {'drained; ' if row.drained else ''}{', '.join(row.moves)}"
        for warning in self.warnings:
            yield f" !  {warning}"

    def _same(self) -> str:
        runs = f"The API servers run Kubernetes {self.target} already"
        return f"{runs}. What else differs, host by host (invoke cluster.up does it without draining):" if self.steps else f"{runs}."

    def data(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)
