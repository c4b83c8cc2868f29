"""The operator's own PKI on the screen: ``certs.show`` as a tree by CA, ``certs.plan`` as a list of what would be issued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kbootstrap.model.certificate import State

Line = tuple[State, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A certificate in the PKI directory. *units* restart for it; *note*: what is wrong with it, or special about it."""

    id: str
    state: State
    subject: str
    issuer: str
    names: tuple[str, ...]
    usages: tuple[str, ...]
    key_type: str
    serial: str
    not_before: datetime
    not_after: datetime
    days_left: float
    file: str
    units: tuple[str, ...] = ()
    note: str = ""

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "id": self.id,
            "state": self.state.value,
            "subject": self.subject,
            "issuer": self.issuer,
            "names": list(self.names),
            "usages": list(self.usages),
            "key_type": self.key_type,
            "serial": self.serial,
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
            "days_left": round(self.days_left, 2),
            "file": self.file,
            "units": list(self.units),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A CA and what it signed. *key*: whether the key is there, or locked."""

    ca: Kept
    key: str
    leaves: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A certificate that would be issued: *symbol* + (there is none) or ~ (anew); or a CA that ends soon, with ! and the command for it."""

    symbol: str
    id: str
    reason: str
    units: tuple[str, ...] = ()
    hint: str = ""


def tree(branches: Sequence[Branch]) -> Iterator[Line]:
    """Two lines for each certificate: who and until when; for which names, its serial and file."""
    leaves = [leaf for branch in branches for leaf in branch.leaves]
    widths = _widths([_columns(leaf) for leaf in leaves])
    for branch in branches:
        ca = branch.ca
        yield ca.state, f"{ca.id}  {ca.subject}  {ca.key_type}  {ca.days_left:.0f} d left  key {branch.key}{f'  {ca.note}' if ca.note else ''}"
        yield State.OK, f"{'│' if branch.leaves else ' '}    serial {ca.serial}  {ca.file}"
        for leaf in branch.leaves:
            last = leaf is branch.leaves[-1]
            yield leaf.state, f"{'└─' if last else '├─'} {_aligned(_columns(leaf), widths)}".rstrip()
            names = f"  for {' '.join(leaf.names)}" if leaf.names else ""
            yield State.OK, f"{' ' if last else '│'}    serial {leaf.serial}  {leaf.file}{names}"


def _columns(leaf: Kept) -> tuple[str, ...]:
    left = f"{leaf.days_left:.0f} d left"
    return leaf.id, leaf.subject, "+".join(leaf.usages), leaf.key_type, left, " ".join([*leaf.units, *([f"({leaf.note})"] if leaf.note else [])])


def plan(due: Sequence[Due]) -> Iterator[str]:
    """A line for each with its reason and the units that restart for it, aligned; the last one sums up."""
    yield from _rows(due)
    counts = [f"{sum(each.symbol == symbol for each in due)} {symbol}" for symbol in "+~" if any(each.symbol == symbol for each in due)]
    number = sum(each.symbol != "!" for each in due)
    yield f"{number} to issue{': ' if counts else ''}{', '.join(counts)}"


def ensured(due: Sequence[Due], made: int, folder: str) -> Iterator[str]:
    """What was issued, and what must still happen for it to be of use."""
    yield from _rows(due)
    if not made:
        yield f"0 issued: what {folder} holds serves."
        return
    yield f"{made} issued into {folder}. No host has them yet: `invoke certs.renew` or `invoke cluster.up` installs them and restarts what uses them."


def _rows(due: Sequence[Due]) -> Iterator[str]:
    rows = [(f"{each.symbol} {each.id}", each.reason, " ".join(each.units) or (f"→ {each.hint}" if each.hint else "")) for each in due]
    widths = _widths(rows)
    yield from (_aligned(row, widths).rstrip() for row in rows)


def _widths(rows: Sequence[tuple[str, ...]]) -> list[int]:
    return [min(76, max(len(cell) for cell in column)) for column in zip(*rows, strict=True)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
