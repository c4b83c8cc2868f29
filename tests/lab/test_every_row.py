"""Every row of the matrix, shut in one direction on real hosts: a check names exactly the pairs, the host and the rule, and nothing else.

Faults go round by round, one on each host at once; with ``--long`` also each alone. What the check offers opens it all again: `firewall.apply`, and
the command of the tool whose rule it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, zip_longest

import pytest

from kbootstrap import inventory, topology
from kbootstrap import lab as labs
from kbootstrap.catalog.ports import Port
from kbootstrap.engine import firewall, ports
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.events import silent
from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import Passwords
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab
VERDICTS = {"DROP": Verdict.DROPPED, "REJECT": Verdict.REFUSED}
ALWAYS = 2  # rounds that every run has


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """*target* does not let *source* in to *port*; by *tool*'s rule with *verb*."""

    port: Port
    source: str
    target: str
    tool: str  # nft, iptables, iptables-legacy
    verb: str  # DROP, REJECT

    @property
    def id(self) -> str:
        return f"{self.port.name}-{self.source}-{self.target}-{self.tool}-{self.verb}"

    def rule(self, spec: ClusterSpec) -> str:
        """As its tool lists it."""
        source, port = spec.host(self.source).address, self.port
        dash = "-" if self.tool == "nft" else ":"
        numbers = f"{port.first}{dash}{port.last}" if port.last > port.first else f"{port.first}"
        if self.tool == "nft":
            how = "reject with icmp port-unreachable" if self.verb == "REJECT" else "drop"
            return f"ip saddr {source} {port.protocol} dport {numbers} {how}"
        how = " --reject-with icmp-port-unreachable" if self.verb == "REJECT" else ""
        return f"-s {source}/32 -p {port.protocol} -m {port.protocol} --dport {numbers} -j {self.verb}{how}"

    def plant(self, spec: ClusterSpec) -> str:
        """sh text for the target."""
        if self.tool != "nft":
            return f"{self.tool} -A INPUT {self.rule(spec)}\n"
        chain = "add table inet site; add chain inet site in { type filter hook input priority 0; }"
        return f"nft '{chain}; add rule inet site in {self.rule(spec)}'\n"

    @property
    def chain(self) -> str:
        return "inet site in" if self.tool == "nft" else f"{self.tool} filter INPUT"

    def shuts(self, pair: Pair) -> bool:
        return (pair.port, pair.source, pair.target) == (self.port, self.source, self.target)


def faults(spec: ClusterSpec) -> Iterator[Fault]:
    """Each row on each host that has it, dropped and rejected; sources and tools take turns."""
    tools = cycle(("nft", "iptables", "iptables-legacy", "nft", "iptables"))  # five: a sixth fault comes with another verb
    for number, row in enumerate(row for row in topology.rows(spec) if row.sources and row.port.protocol != "any"):
        for target in row.targets:
            others = [source.name for source in row.sources if source is not target]
            for turn, verb in enumerate(VERDICTS):
                yield Fault(port=row.port, source=others[(number + turn) % len(others)], target=target.name, tool=next(tools), verb=verb)


def rounds(spec: ClusterSpec) -> list[tuple[Fault, ...]]:
    """At most one fault on each host in a round."""
    mine = [[fault for fault in faults(spec) if fault.target == host.name] for host in spec.hosts]
    return [tuple(fault for fault in each if fault) for each in zip_longest(*mine)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Five bare hosts, and one connection to each."""

    cluster: Cluster
    spec: ClusterSpec
    pool: Pool

    def sh(self, name: str, text: str) -> None:
        done = labs.execute(self.cluster.lab.host(name), ["sh", "-euc", text])
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"

    def check(self) -> tuple[Proof, ...]:
        return ports.check(self.spec, self.pool, silent)

    def as_offered(self, proofs: Sequence[Proof]) -> None:
        """Open by the commands that the causes hold."""
        for host, hint in {(proof.cause.host, proof.cause.hint) for proof in proofs if proof.cause}:
            self.sh(host, hint.partition(f"on {host}: ")[2])

    def by_apply(self, proofs: Sequence[Proof]) -> None:
        """Open with the project's own command, as each hint says first."""
        named = sorted({proof.cause.host for proof in proofs if proof.cause})
        assert all(proof.cause.hint.startswith(f"invoke firewall.apply --limit {proof.cause.host}") for proof in proofs if proof.cause)
        assert firewall.run(self.cluster.request(limit=tuple(named))).applied

    def clean(self) -> None:
        assert all("gone" in line or "nothing" in line for line in firewall.remove(self.cluster.request()))
        for host in self.cluster.lab.hosts:
            self.sh(host.name, "nft flush ruleset; iptables-legacy -F")


MENDS = (Site.by_apply, Site.as_offered)


@pytest.fixture(scope="module")
def site(
    claim: Callable[[str], AbstractContextManager[str]],
    of_lab: Callable[[labs.Lab], Cluster],
    lab_machine: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with claim("kbrows") as name:
        lab = labs.up(name=name, inventory=tmp_path_factory.mktemp("inventory") / name)
        folder, passwords = Folder(root=lab.folder), Passwords()
        folder.cluster_yml.write_text(folder.cluster_yml.read_text() + "network: {plugin: vxlan}\n")  # for a row of datagrams between all hosts
        spec = inventory.load(folder.cluster_yml)
        with Pool(spec.hosts, lambda host: connect(host, known_hosts=folder.known_hosts, password=passwords.of(host))) as pool:
            yield Site(cluster=of_lab(lab), spec=spec, pool=pool)


def found_exactly(site: Site, planted: Sequence[Fault], mend: Callable[[Site, Sequence[Proof]], None]) -> None:
    """Plant, check, compare; then *mend*, and check again."""
    for fault in planted:
        site.sh(fault.target, fault.plant(site.spec))
    try:
        proofs = site.check()
        causes = {proof.pair: proof.cause for proof in proofs}
        said = {
            proof.pair.id: (proof.verdict, cause.host, cause.chain, cause.rule.partition(" (handle ")[0], cause.verdict)
            if cause
            else (proof.verdict,)
            for proof in proofs
            if (cause := proof.cause) or not proof.ok
        }
        wanted = {
            pair.id: (VERDICTS[fault.verb], fault.target, fault.chain, fault.rule(site.spec), fault.verb.lower())
            for pair in causes
            for fault in planted
            if fault.shuts(pair)
        }
        assert len(wanted) >= len(planted)
        assert said == wanted
        mend(site, proofs)
        assert [str(proof) for proof in site.check() if not proof.ok] == []
    finally:
        site.clean()


def test_nothing_is_shut(site: Site) -> None:
    proofs = site.check()
    assert [str(proof) for proof in proofs if not proof.ok] == []
    assert {proof.pair for proof in proofs if proof.pair.port.protocol == "udp"}


@pytest.mark.parametrize("number", range(ALWAYS))
def test_one_fault_on_each_host(number: int, site: Site) -> None:
    found_exactly(site, rounds(site.spec)[number], MENDS[number % 2])


@pytest.mark.long(seconds=120)
def test_every_row_is_shut_once_with_each_verb(site: Site) -> None:
    everything = list(faults(site.spec))
    assert {fault.port.name for fault in everything} >= {"kube-apiserver", "etcd-peer", "kubelet", "nodeport-tcp", "nodeport-udp", "vxlan"}
    for number, each in enumerate(rounds(site.spec)[ALWAYS:]):
        found_exactly(site, each, MENDS[(number + number // 2) % 2])  # each verb in each way


@pytest.mark.long(seconds=300)
def test_every_fault_alone(site: Site) -> None:
    for fault in faults(site.spec):
        found_exactly(site, [fault], Site.as_offered)
