"""Every directed port, proven between the real hosts: short-lived listeners on all of them, then all dials at once.

One program per host does both, over one channel: it listens where a port is free and says where a daemon has it; once all listen, each is told
whom to dial. 100 hosts are 100 channels, not 9900. Who needs the same listeners again (to trace what failed) keeps ``listeners`` open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from kbootstrap import topology
from kbootstrap.catalog.checks import REACH
from kbootstrap.engine import trace
from kbootstrap.engine.contact import chosen
from kbootstrap.engine.listeners import listeners
from kbootstrap.errors import PreflightError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.reach import Pair, Proof
from kbootstrap.remote.pool import Pool
from kbootstrap.report import ports as report
from kbootstrap.store import clock, entropy

HINT: Final = "Open them (`invoke ports.matrix` tells why each is needed), then run the same command again."
WAIVE: Final = f'Open them, or accept a row in cluster.yml: preflight: {{waive: {{{REACH}kubelet: "why"}}}}. `invoke ports.check` asks again.'


def check(spec: ClusterSpec, pool: Pool, listener: Listener, *, pairs: Sequence[Pair] | None = None) -> tuple[Proof, ...]:
    """Prove *pairs* (default: all that the inventory asks for), in their order. Never raises for what a host does: such pairs are «unproven»."""
    began = clock.monotonic_s()
    asked = wanted(spec) if pairs is None else tuple(pairs)
    with listeners(spec, pool, asked) as probes:
        found = trace.explained(spec, pool, probes.prove(asked), probes.prove)  # a failed pair is asked twice: its packets must be seen on their way
    listener(Note(text=f"{len(found)} pairs of hosts and ports probed in {clock.monotonic_s() - began:.1f} s"))
    return found


def wanted(spec: ClusterSpec, names: Iterable[str] = ()) -> tuple[Pair, ...]:
    """What the inventory asks for, from or to the hosts *names* (none: all); which port between the ends of a range is by chance. UsageError."""
    hosts = {host.name for host in chosen(spec, tuple(names))}
    return tuple(pair for pair in topology.pairs(spec, chosen=int(entropy.marker(), 16)) if {pair.source, pair.target} & hosts)


def require(spec: ClusterSpec, pool: Pool, listener: Listener, *, read: Collection[str], fresh: Collection[str]) -> None:
    """Nothing is installed on *fresh* hosts that could not work: PreflightError with what is not open between them and all that were *read*.

    A row that the inventory waives (``reach-<row>``) is a warning. Without *fresh* hosts nothing is asked: what serves is not stopped by a probe.
    """
    asked = [pair for pair in wanted(spec) if {pair.source, pair.target} <= set(read) and {pair.source, pair.target} & set(fresh)]
    if not asked:
        return
    bad = failing(check(spec, pool, listener, pairs=asked))
    waive = spec.preflight.waive
    waived = [proof for proof in bad if REACH + proof.pair.port.name in waive]
    for row in dict.fromkeys(proof.pair.port.name for proof in waived):
        for problem in report.problems([proof for proof in waived if proof.pair.port.name == row]):
            listener(Note(text=f"{problem.where}  {problem.what} (waived: {waive[REACH + row]})", warning=True))
    if refused := [proof for proof in bad if proof not in waived]:
        what = f"{len(refused)} of {len(asked)} pairs of hosts and ports are not open; nothing of the cluster was installed"
        raise PreflightError(what, problems=report.problems(refused), hint=WAIVE)


def failing(proofs: Iterable[Proof]) -> tuple[Proof, ...]:
    """Those that are not open, as far as anybody can tell."""
    return tuple(proof for proof in proofs if not proof.ok and not proof.mute)
