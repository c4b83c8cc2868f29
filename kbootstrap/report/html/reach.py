"""From directed proofs to what a reader can take in: a cell per port and target, and one block per reason instead of a line per pair."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kbootstrap.catalog.ports import Source
from kbootstrap.model.reach import Proof, Verdict
from kbootstrap.report.html.view import Block, Cell, Matrix, Row, State


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """A failed proof without its ends: what several pairs may have in common."""

    verdict: str
    sure: bool
    detail: str
    on: str
    stack: str
    chain: str
    rule: str
    zone: str
    why: str
    hint: str


def matrix(rows: Sequence[Row], proofs: Sequence[Proof], *, note: str = "") -> Matrix:
    """*rows* with what *proofs* tell of them; no proof of a pair means that it was not asked."""
    found = blocks(rows, proofs)
    return Matrix(rows=tuple(rows), cells=cells(rows, proofs, found), blocks=found, note=note)


def cells(rows: Sequence[Row], proofs: Iterable[Proof], reasons: Sequence[Block]) -> tuple[Cell, ...]:
    """A cell for each target of each row. A host that could prove nothing at all is no reason to doubt every other: only its own column does."""
    of: defaultdict[tuple[str, str], list[Proof]] = defaultdict(list)
    speaking = set[str]()
    for proof in proofs:
        of[proof.pair.port.name, proof.pair.target].append(proof)
        if proof.verdict is not Verdict.UNPROVEN:
            speaking.add(proof.pair.source)
    first: dict[tuple[str, str], int] = {}
    for number, block in enumerate(reasons):
        for name in block.rows:
            for target in block.targets:
                first.setdefault((name, target), number)
    return tuple(_cell(row, target, of[row.port.name, target], first, speaking) for row in rows for target in row.targets)


def _cell(row: Row, target: str, proofs: Sequence[Proof], first: Mapping[tuple[str, str], int], speaking: Container[str]) -> Cell:
    good = sum(proof.ok for proof in proofs)
    bad = [proof for proof in proofs if not proof.ok]
    if not proofs:
        state = State.UNKNOWN if provable(row, target) else State.NONE
    elif good and all(proof.verdict is Verdict.UNPROVEN and proof.pair.source not in speaking for proof in bad):
        return Cell(row=row.port.name, target=target, state=State.OK, open=good, asked=len(proofs))
    elif not bad:
        state = State.OK
    else:
        state = State.WARN if all(proof.verdict is Verdict.UNPROVEN for proof in bad) else State.BAD
    block = first.get((row.port.name, target)) if bad else None
    return Cell(row=row.port.name, target=target, state=state, open=good, asked=len(proofs), block=block)


def provable(row: Row, target: str) -> bool:
    """Whether any other host has to reach *target* there; a port on loopback, or the operator's alone, has no pair of hosts."""
    return row.port.protocol != "any" and any(source != target for source in row.sources)


def loopback(row: Row) -> bool:
    """Only the host itself asks it."""
    return set(row.port.sources) == {Source.SELF}


def blame(block: Block) -> str:
    """Whose doing it is: ``ufw, user rules: drop``, ``no listener``."""
    if block.stack in {"", "listener", "route"}:
        return block.why
    return f"{', '.join(part for part in (block.stack, block.zone) if part)}: {block.why}"


def blocks(rows: Sequence[Row], proofs: Iterable[Proof]) -> tuple[Block, ...]:
    """What fails, folded without losing a pair: a block holds exactly its sources × its targets × its ports. The surest and largest first."""
    facts: defaultdict[tuple[_Fact, str], dict[tuple[str, int, str], set[str]]] = defaultdict(dict)
    for proof in proofs:
        if not proof.ok:
            pair = proof.pair
            port = (pair.port.name, pair.number, pair.port.protocol)
            facts[_fact(proof), pair.target].setdefault(port, set()).add(pair.source)
    must = {(row.port.name, target): frozenset(row.sources) - {target} for row in rows for target in row.targets}
    found: dict[Block, None] = {}
    for (fact, target), ports in facts.items():
        for sources, mine in _by_sources(ports, target, must).items():
            found[_block(fact, target, sources, mine)] = None
    merged = _merged(found)
    return tuple(sorted(merged, key=lambda b: (not b.sure, -len(b.targets) * max(len(b.sources), 99 if not b.sources else 0) * len(b.ports))))


def _fact(proof: Proof) -> _Fact:
    cause = proof.cause
    sure = proof.verdict is not Verdict.UNPROVEN
    if cause is None:
        return _Fact(verdict=proof.verdict.value, sure=sure, detail=_detail(proof), on="", stack="", chain="", rule="", zone="", why="", hint="")
    return _Fact(
        verdict=proof.verdict.value,
        sure=sure,
        detail="",
        on=cause.host,
        stack=cause.stack,
        chain=cause.chain,
        rule=cause.rule,
        zone=cause.zone,
        why=cause.verdict,
        hint=cause.hint,
    )


def _detail(proof: Proof) -> str:
    """What was seen, as it is the same for all sources: how long one waited, and its name, are not."""
    if proof.verdict is Verdict.DROPPED and proof.detail.startswith("no answer"):
        return "no answer"
    if proof.verdict is Verdict.UNPROVEN:
        return proof.detail
    return re.sub(rf"(?<![\w.-]){re.escape(proof.pair.source)}(?![\w.-])", "the source", proof.detail)


def _by_sources(
    ports: Mapping[tuple[str, int, str], set[str]], target: str, must: Mapping[tuple[str, str], frozenset[str]]
) -> dict[tuple[str, ...], list[tuple[str, int, str]]]:
    """Sources → the ports that exactly these do not reach; ``()`` stands for all who must."""
    found: dict[tuple[str, ...], list[tuple[str, int, str]]] = {}
    for port, sources in ports.items():
        needed = must.get((port[0], target), frozenset())
        key = () if sources == needed and len(needed) > 1 else tuple(sorted(sources, key=_natural))
        found.setdefault(key, []).append(port)
    return found


def _natural(name: str) -> tuple[str, int, str]:
    """w2 before w10."""
    head = name.rstrip("0123456789")
    return head, int(name[len(head) :] or 0), name


def _block(fact: _Fact, target: str, sources: tuple[str, ...], ports: Sequence[tuple[str, int, str]]) -> Block:
    return Block(
        rows=tuple(dict.fromkeys(name for name, _, _ in ports)),
        ports=tuple(f"{number}/{protocol}" for _, number, protocol in ports),
        sources=sources,
        targets=(target,),
        verdict=fact.verdict,
        sure=fact.sure,
        detail=fact.detail,
        on=(fact.on,) if fact.on else (),
        stack=fact.stack,
        chain=fact.chain,
        rule=fact.rule,
        zone=fact.zone,
        why=fact.why,
        hint=fact.hint,
    )


def _merged(found: Iterable[Block]) -> list[Block]:
    """Blocks that differ in their target alone, or in their target and the rule's host where these are the same, become one."""
    groups: dict[tuple[Block, bool], list[str]] = {}
    for block in found:
        at_target = block.on == block.targets
        key = replace(block, targets=(), on=() if at_target else block.on)
        groups.setdefault((key, at_target), []).extend(block.targets)
    return [
        replace(block, targets=(names := tuple(sorted(set(targets), key=_natural))), on=names if at_target else block.on)
        for (block, at_target), targets in groups.items()
    ]
