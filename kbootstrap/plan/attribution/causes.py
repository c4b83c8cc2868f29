"""All failing pairs at once: a rule that ends many of them is named for each, with one mending for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import IPv4Address

from kbootstrap.model.reach import Cause, Pair, Proof
from kbootstrap.plan.attribution import judge, naming
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.plan.attribution.judge import Case
from kbootstrap.plan.attribution.mend import Gap, Range
from kbootstrap.plan.attribution.naming import Blame


def of(failed: Sequence[Proof], flows: Mapping[Pair, Flow], hosts: Mapping[str, Evidence], *, alone: Collection[str] = ()) -> dict[Pair, Cause]:
    """The cause of each pair that has one; the firewalls of the hosts *alone* are left to the operator."""
    blames = {proof.pair: found for proof in failed if (found := judge.blame(_case(proof, flows, hosts)))}
    groups: dict[Blame, list[Pair]] = {}
    for pair, blame in blames.items():
        groups.setdefault(blame, []).append(pair)
    hints = {blame: naming.hint(blame, list(_gaps(blame, pairs, flows)), managed=blame.host not in alone) for blame, pairs in groups.items()}
    return {pair: _cause(blame, hints[blame]) for pair, blame in blames.items()}


def _case(proof: Proof, flows: Mapping[Pair, Flow], hosts: Mapping[str, Evidence]) -> Case:
    def host(name: str) -> Evidence:
        return hosts.get(name) or Evidence(host=name)

    pair = proof.pair
    return Case(pair=pair, verdict=proof.verdict, flow=flows[pair], source=host(pair.source), target=host(pair.target))


def _gaps(blame: Blame, pairs: Sequence[Pair], flows: Mapping[Pair, Flow]) -> Iterator[Gap]:
    """The holes that let *pairs* through, and no more: ports share one only where their sources are the same."""
    sources: dict[tuple[IPv4Address, str, Range], set[IPv4Address]] = {}
    for pair in pairs:
        port, flow = pair.port, flows[pair]
        sources.setdefault((flow.target, flow.protocol, (port.first, port.last)), set()).add(flow.source)
    ports: dict[tuple[IPv4Address, str, frozenset[IPv4Address]], list[Range]] = {}
    for (target, protocol, ranges), mine in sources.items():
        ports.setdefault((target, protocol, frozenset(mine)), []).append(ranges)
    for (target, protocol, whose), found in ports.items():
        yield Gap(
            protocol=protocol,
            ports=tuple(sorted(found)),
            sources=tuple(sorted(whose)),
            target=target,
            hook=blame.hook,
            answer=blame.answer,
            translated=blame.translated,
        )


def _cause(blame: Blame, hint: str) -> Cause:
    return Cause(
        host=blame.host,
        stack=blame.stack,
        verdict=blame.verdict,
        hint=hint,
        chain=blame.chain,
        rule=blame.rule + (f" (handle {blame.handle})" if blame.handle else ""),
        zone=blame.zone,
    )
