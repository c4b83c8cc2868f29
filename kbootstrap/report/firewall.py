"""A host's firewall as text and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A block per host: what filters, how it stands with what the cluster needs, and those openings."""
    for row in rows:
        active = ", ".join(row["filters"]) or "nothing filters"
        yield f"{row['host']}  {active}  (manage: {row['manage']}{', strict' if row['strict'] else ''})"
        sign = "!!" if row["filters"] or row["strict"] else "to do:"  # where nothing filters, nothing is amiss
        yield f"  {sign + ' ' + row['lacks'] if row['lacks'] else 'ok everything that the cluster needs is let in'}"
        yield from (f"  !  {note}" for note in row["notes"])
        yield from (f"  {'+' if rule not in row['allowed'] else ' '} {rule}" for rule in row["wanted"])
        yield from (f"  - {rule}" for rule in row["allowed"] if rule not in row["wanted"])
