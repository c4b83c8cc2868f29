"""Which rule on which host: every failing pair is probed once more while both its hosts trace the packets.

One program per host for all its pairs: it looks, traces until its input ends, looks again. All hosts begin, then the probes run, then all end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.errors import KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Cause, Pair, Proof, Verdict
from kbootstrap.plan.attribution import causes, evidence, flow, places, script
from kbootstrap.plan.attribution.evidence import Evidence
from kbootstrap.plan.attribution.flow import Flow
from kbootstrap.probe.judge import DAEMON, mute
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.store import clock, entropy

DEADLINE_S: Final = 120.0  # of a host's program, probes included
BEGIN_S: Final = 30.0  # until every host traces; who does not by then is left out
SETTLE_S: Final = 0.2  # between the last packet and the end of the trace

Again = Callable[[Sequence[Pair]], Iterable[Proof]]


def explained(spec: ClusterSpec, pool: Pool, proofs: Sequence[Proof], again: Again) -> tuple[Proof, ...]:
    """All of *proofs*, in their order, those that failed with their causes, those that are mute as their packets tell. What could not be asked
    cannot be asked again."""
    failed = [proof for proof in proofs if not proof.ok and (proof.mute or proof.verdict is not Verdict.UNPROVEN)]
    found = {proof.pair: proof for proof in attribute(spec, pool, failed, again)}
    return tuple(found.get(proof.pair, proof) for proof in proofs)


def attribute(spec: ClusterSpec, pool: Pool, failed: Sequence[Proof], again: Again) -> tuple[Proof, ...]:
    """*failed* with their causes, in their order; *again* probes pairs anew and says what came of it.

    A pair that is open at the second look comes back as what it is then. No cause is invented: what nothing explains keeps ``cause=None``.
    A host that cannot be asked only costs what it alone could tell.
    """
    if not failed:
        return ()
    flows = {proof.pair: flow.of(proof.pair, spec) for proof in failed}
    involved = {name for pair in flows for name in (pair.source, pair.target)}
    hosts = [host for host in spec.hosts if host.name in involved]
    with _Watching(pool, hosts, list(flows.values())) as watching:
        fresh = {proof.pair: proof for proof in again(list(flows))}
        clock.pause(SETTLE_S)
    now = [fresh.get(proof.pair, proof) for proof in failed]
    alone = {host.name for host in hosts if not host.firewall.opens}
    found = causes.of([proof for proof in now if not proof.ok], flows, watching.evidence, alone=alone)
    return tuple(_told(proof, found.get(proof.pair), flows, watching.evidence) for proof in now)


def _told(proof: Proof, cause: Cause | None, flows: Mapping[Pair, Flow], hosts: Mapping[str, Evidence]) -> Proof:
    """*proof* with its cause; a mute one is open when its packets came through every rule of the target, and failed when a rule ended them."""
    if cause and cause.stack == places.KUBE_PROXY and proof.verdict in (Verdict.DROPPED, Verdict.UNPROVEN):
        why = f"kube-proxy drops it there itself: its Service has no pod that may answer on {proof.pair.target} (externalTrafficPolicy: Local?)"
        return mute(proof.pair, why)
    if not proof.mute:
        rejected = cause is not None and cause.verdict == "reject" and proof.verdict is Verdict.DROPPED
        return replace(proof, cause=cause, verdict=Verdict.REFUSED if rejected else proof.verdict)  # a kernel rejects aloud but a few times a second
    target = hosts.get(proof.pair.target)
    packet = target.asked(flows[proof.pair], outgoing=False) if target else None
    if packet and packet.passed:
        return replace(proof, verdict=Verdict.OPEN, answered=DAEMON, mute=False, detail=f"seen to pass every rule of {proof.pair.target}")
    return replace(proof, verdict=Verdict.DROPPED, cause=cause, mute=False, detail="no answer") if cause else proof


class _Watching:
    """Every host traces while this is entered; afterwards ``evidence`` holds what each said."""

    def __init__(self, pool: Pool, hosts: Sequence[Host], flows: Sequence[Flow]) -> None:
        self.evidence: dict[str, Evidence] = {}
        self._pool, self._hosts, self._flows = pool, hosts, flows
        self._begun = threading.Semaphore(0)
        self._end = threading.Event()
        self._threads = ThreadPoolExecutor(max_workers=len(hosts), thread_name_prefix="trace")  # all at once: each waits for the others

    def __enter__(self) -> _Watching:
        self._work = [self._threads.submit(self._host, host) for host in self._hosts]
        until = clock.monotonic_s() + BEGIN_S
        for _ in self._hosts:
            self._begun.acquire(timeout=max(0.0, until - clock.monotonic_s()))
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._threads.shutdown()
        for host, work in zip(self._hosts, self._work, strict=True):
            self.evidence[host.name] = work.result()

    def _host(self, host: Host) -> Evidence:
        mine = [each for each in self._flows if host.address in (each.source, each.target)]
        begun = [self._begun]  # told once, whatever happens

        def tell() -> None:
            if begun:
                begun.pop().release()

        sections: dict[str, bytes] = {}
        try:
            for section in _sections(self._pool.connection(host), host, mine, self._wait()):
                sections[section.id] = section.output
                if section.id == script.READY:
                    tell()
        except KbError as error:  # it tells nothing more; the other end of its pairs may
            sections.setdefault(script.READY, error.message.encode())
        finally:
            tell()
        return evidence.read(host.name, sections)

    def _wait(self) -> Iterator[bytes]:
        """The program's input: nothing, until all probes are through."""
        self._end.wait(DEADLINE_S)
        yield b""


def _sections(connection: Connection, host: Host, flows: Sequence[Flow], payload: Iterable[bytes]) -> Iterator[fuse.Section]:
    """What *host* says, as it says it; the section ``trace`` ends when *payload* does."""
    others = sorted({end for each in flows for end in (each.source, each.target)} - {host.address})
    marker = entropy.marker()
    running = connection.run(_program(flows, others, marker), payload=payload, deadline_s=DEADLINE_S)
    try:
        yield from fuse.split(running.lines(), marker)
    finally:
        running.close()


def _program(flows: Sequence[Flow], others: Sequence[IPv4Address], marker: str) -> str:
    return f"""\
(
{fuse.read_program(script.before(others), marker)}
)
kb_end() {{ printf '\\n%s end %s %s\\n' {marker} "$1" "$2"; }}
{script.watch(flows)}
printf %s "$kb_why"
kb_end {script.READY} 0
read -r _
kb_gone
kb_end {script.TRACE} 0
(
{fuse.read_program(script.after(), marker)}
)
"""
