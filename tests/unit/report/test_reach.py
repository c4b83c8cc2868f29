"""Proofs folded to cells and reasons: nothing is lost, nothing is added."""

from __future__ import annotations

import random

import pytest

from kbootstrap.engine import report
from kbootstrap.model.reach import Cause, Proof, Verdict
from kbootstrap.report.html import reach
from kbootstrap.report.html.view import State
from kbootstrap.testing.builders import a_cluster
from tests import views

SPEC = a_cluster(3, 2)
ROWS = report.rows(SPEC)


def test_a_matrix_without_proofs_is_not_green() -> None:
    states = {cell.state for cell in reach.matrix(ROWS, ()).cells}
    assert states == {State.UNKNOWN, State.NONE}


def test_all_open_is_green_where_there_is_something_to_prove() -> None:
    found = reach.matrix(ROWS, views.proofs(SPEC, []))
    assert {cell.state for cell in found.cells} == {State.OK, State.NONE}
    assert found.blocks == ()


def test_one_rule_is_one_reason_and_red_on_its_host_alone() -> None:
    found = reach.matrix(ROWS, views.proofs(SPEC, [views.dropped("m2", ["etcd-peer"], sources=["m1"], rule="drop it")]))
    assert [(cell.row, cell.target, cell.open, cell.asked) for cell in found.cells if cell.state is State.BAD] == [("etcd-peer", "m2", 1, 2)]
    (block,) = found.blocks
    assert (block.sources, block.targets, block.on, block.rule, block.ports) == (("m1",), ("m2",), ("m2",), "drop it", ("2380/tcp",))


def test_a_host_that_can_prove_nothing_clouds_its_own_column_alone() -> None:
    found = reach.matrix(ROWS, views.proofs(SPEC, [views.unproven("w2")]))
    assert {cell.target for cell in found.cells if cell.state is State.WARN} == {"w2"}
    assert all(not block.sure for block in found.blocks)


def test_what_could_not_be_proven_is_never_green() -> None:
    found = reach.matrix(ROWS, [Proof(pair=proof.pair, verdict=Verdict.UNPROVEN) for proof in views.proofs(SPEC, [])])
    assert State.OK not in {cell.state for cell in found.cells}


@pytest.mark.parametrize("seed", range(20))
def test_folded_reasons_hold_exactly_the_pairs_that_fail(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  a sample, no secret
    causes = [None, *(Cause(host=host, stack="nftables", verdict="drop", hint="mend it", rule=rule) for host in ("m1", "w1") for rule in ("a", "b"))]
    proofs = [
        Proof(pair=proof.pair, verdict=dice.choice([Verdict.DROPPED, Verdict.UNPROVEN]), cause=dice.choice(causes)) if dice.random() < 0.3 else proof
        for proof in views.proofs(SPEC, [])
    ]
    must = {(row.port.name, target): set(row.sources) - {target} for row in ROWS for target in row.targets}
    found = set()
    for block in reach.blocks(ROWS, proofs):
        for target in block.targets:
            for port in block.ports:
                names = [row.port.name for row in ROWS if row.port.name in block.rows and _holds(row, port)]
                for source in block.sources or must[names[0], target]:
                    pair = (source, target, port, block.rule, block.verdict)
                    assert pair not in found
                    found.add(pair)
    failing = [proof for proof in proofs if not proof.ok]
    assert found == {
        (p.pair.source, p.pair.target, f"{p.pair.number}/{p.pair.port.protocol}", p.cause.rule if p.cause else "", p.verdict.value) for p in failing
    }


def _holds(row: object, port: str) -> bool:
    number, _, protocol = port.partition("/")
    of = row.port  # type: ignore[attr-defined]
    return bool(of.protocol == protocol and of.first <= int(number) <= of.last)
