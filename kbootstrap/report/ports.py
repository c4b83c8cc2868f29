"""The port matrix and its proofs as text and as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kbootstrap.catalog.ports import Port
from kbootstrap.errors import Problem, counted
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Pair, Proof, Verdict

NAMED: Final = 6  # hosts in a line; the others are counted
HEADINGS: Final = ("ROW", "PROTO", "PORTS", "ON", "REACHED BY", "HOOK", "WHY")
Line = tuple[Port, Sequence[Host]]


def numbers(port: Port) -> str:
    """``30000-32767``, or the one port."""
    return str(port.first) if port.first == port.last else f"{port.first}-{port.last}"


def matrix(rows: Sequence[Line]) -> Iterator[str]:
    """A table of *rows* (port, the hosts that have it), in their order."""
    cells = [HEADINGS, *(_cells(port, targets) for port, targets in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    for row in cells:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(port: Port, targets: Sequence[Host]) -> tuple[str, ...]:
    hooks = ",".join(port.hooks)
    return (port.name, port.protocol, numbers(port), _names([h.name for h in targets]), ",".join(port.sources), hooks, port.purpose)


def matrix_data(rows: Sequence[tuple[Port, Sequence[Host], Sequence[Host]]]) -> list[dict[str, Any]]:
    """``[{"row", "protocol", "first", "last", "targets", "reached_by", "hosts", "hooks", "why"}]``; *hosts*: the inventory's that must."""
    return [
        {
            "row": port.name,
            "protocol": port.protocol,
            "first": port.first,
            "last": port.last,
            "targets": [host.name for host in targets],
            "reached_by": [source.value for source in port.sources],
            "hosts": [host.name for host in sources],
            "hooks": [hook.value for hook in port.hooks],
            "why": port.purpose,
        }
        for port, targets, sources in rows
    ]


def proofs_data(proofs: Iterable[Proof]) -> list[dict[str, Any]]:
    """One object per pair; ``cause`` is null where the pair is open, or nothing could be blamed."""
    return [
        {
            "row": proof.pair.port.name,
            "source": proof.pair.source,
            "target": proof.pair.target,
            "protocol": proof.pair.port.protocol,
            "port": proof.pair.number,
            "verdict": proof.verdict.value,
            "detail": proof.detail,
            "answered": proof.answered,
            "cause": _cause(proof),
        }
        for proof in proofs
    ]


def _cause(proof: Proof) -> dict[str, str] | None:
    cause = proof.cause
    if cause is None:
        return None
    return {name: str(getattr(cause, name)) for name in ("host", "stack", "verdict", "hint", "chain", "rule", "zone")}


def problems(proofs: Iterable[Proof]) -> tuple[Problem, ...]:
    """Those that are not open, folded: ``m2 ← w1, w2``, which ports, what was met, and what mends it. Many targets of one host: ``w1 → m1, m2``."""
    bad = [proof for proof in proofs if not proof.ok]
    unread = [proof for proof in bad if proof.verdict is Verdict.UNPROVEN]
    told = [proof for proof in bad if proof.verdict is not Verdict.UNPROVEN]
    by_target, by_source = list(_folded(told, by_target=True)), list(_folded(told, by_target=False))
    return (*(by_target if len(by_target) <= len(by_source) else by_source), *_unproven(unread))


def _folded(proofs: Sequence[Proof], *, by_target: bool) -> Iterator[Problem]:
    """First the other ends of one port that met the same, then the ports that met it with the same ends."""
    ends: dict[tuple[str, Pair, Verdict, tuple[str, ...]], list[Proof]] = {}
    for proof in proofs:
        here, there = (proof.pair.target, proof.pair.source) if by_target else (proof.pair.source, proof.pair.target)
        port = Pair(port=proof.pair.port, source="", target="", number=proof.pair.number)
        ends.setdefault((here, port, proof.verdict, _why(proof, there)), []).append(proof)
    lines: dict[tuple[str, str, Verdict, tuple[str, ...]], list[Pair]] = {}
    for (here, port, verdict, why), mine in ends.items():
        others = _names([proof.pair.source if by_target else proof.pair.target for proof in mine])
        lines.setdefault((here, others, verdict, why), []).append(port)
    for (here, others, verdict, (detail, hint)), found in lines.items():
        said = detail if hint else f"{verdict.value}: {detail}" if detail else verdict.value  # a cause tells the verdict, too
        yield Problem(
            where=f"{here} {'←' if by_target else '→'} {others}",
            what=f"{', '.join(map(_port, found))} {said}",
            hint=f"\n    → {hint}" if hint else "",
        )


def _why(proof: Proof, other: str) -> tuple[str, ...]:
    """Detail and hint as they are the same for all ends of a line: without the other end's name."""
    if proof.cause is None:
        silent = proof.verdict is Verdict.DROPPED and proof.detail.startswith("no answer for")
        return "" if silent else re.sub(rf"\b{re.escape(other)}\b", "it", proof.detail), ""
    return str(proof.cause), proof.cause.hint


def _unproven(proofs: Sequence[Proof]) -> Iterator[Problem]:
    reasons: dict[str, list[Proof]] = {}
    for proof in proofs:
        reasons.setdefault(proof.detail, []).append(proof)
    for detail, mine in reasons.items():
        who = dict.fromkeys(name for proof in mine for name in (proof.pair.target, proof.pair.source))
        common = [name for name in who if all(name in (p.pair.source, p.pair.target) for p in mine)]
        ports = _names(list(dict.fromkeys(_port(proof.pair) for proof in mine)))
        yield Problem(where=_names(common or list(who)), what=f"{counted(len(mine), 'pair')} unproven ({ports}): {detail}")


def _port(pair: Pair) -> str:
    return f"{pair.number}/{pair.port.protocol} ({pair.port.name})"


def _names(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique) if len(unique) <= NAMED else f"{', '.join(unique[: NAMED - 1])} … ({len(unique)} in all)"


def summary(proofs: Sequence[Proof]) -> str:
    """``94 of 96 pairs open: 90 answered by a listener of ours, 4 by what runs there; 2 unproven``: those that no answer was owed to."""
    good = [proof for proof in proofs if proof.ok]
    ours = sum(proof.answered == "probe" for proof in good)
    by: Mapping[str, int] = {"answered by a listener of ours": ours, "by what runs there": len(good) - ours}
    parts = ", ".join(f"{count} {who}" for who, count in by.items() if count)
    mute = sum(proof.mute for proof in proofs)
    return f"{len(good)} of {len(proofs)} pairs open{f': {parts}' if parts else ''}{f'; {mute} unproven' if mute else ''}"
