"""All failing pairs at once: a rule that ends many of them is named for each, with one command that mends all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kbootstrap.model.reach import Cause, Pair, Proof
from kbootstrap.plan.attribution import judge, naming
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.judge import Case
from kbootstrap.plan.attribution.mend import Gap
from kbootstrap.plan.attribution.naming import Blame


def of(failed: Sequence[Proof], flows: Mapping[Pair, Flow], hosts: Mapping[str, Evidence]) -> dict[Pair, Cause]:
    """The cause of each pair that has one."""
    blames = {proof.pair: found for proof in failed if (found := judge.blame(_case(proof, flows, hosts)))}
    return {pair: _cause(blame, _gap(blame, flows[pair], blames, flows)) for pair, blame in blames.items()}


def _case(proof: Proof, flows: Mapping[Pair, Flow], hosts: Mapping[str, Evidence]) -> Case:
    def host(name: str) -> Evidence:
        return hosts.get(name) or Evidence(host=name)

    pair = proof.pair
    return Case(pair=pair, verdict=proof.verdict, flow=flows[pair], source=host(pair.source), target=host(pair.target))


def _gap(blame: Blame, mine: Flow, blames: Mapping[Pair, Blame], flows: Mapping[Pair, Flow]) -> Gap:
    """The hole that lets *mine* through, and its like from other hosts that the same rule ends."""
    sources = {
        flows[pair].source
        for pair, other in blames.items()
        if other == blame and (flows[pair].target, flows[pair].protocol, flows[pair].port) == (mine.target, mine.protocol, mine.port)
    }
    return Gap(
        protocol=mine.protocol,
        port=mine.port,
        sources=tuple(sorted(sources)),
        target=mine.target,
        hook=blame.hook,
        answer=blame.answer,
        translated=blame.translated,
    )


def _cause(blame: Blame, gap: Gap) -> Cause:
    return Cause(
        host=blame.host,
        stack=blame.stack,
        verdict=blame.verdict,
        hint=naming.hint(blame, gap),
        chain=blame.chain,
        rule=blame.rule + (f" (handle {blame.handle})" if blame.handle else ""),
        zone=blame.zone,
    )
