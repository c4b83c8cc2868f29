"""Three bare hosts to plant faults on, and a second look at pairs of them whose probes need no listener."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import ports
from kbootstrap.engine import trace
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Pair, Proof, Verdict
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import Passwords

Claim = Callable[[str], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Three bare hosts, and how the tests speak to them."""

    lab: labs.Lab

    def sh(self, name: str, text: str) -> str:
        """Run *text* on a host, in which M1, M2 and M3 stand for addresses."""
        for host in self.lab.hosts:
            text = text.replace(host.name.upper(), str(host.address))
        done = labs.execute(self.lab.host(name), ["bash", "-euc", text], timeout_s=120)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def pool(self) -> Pool:
        folder, passwords = Folder(root=self.lab.folder), Passwords()
        spec = inventory.load(folder.cluster_yml)
        return Pool(spec.hosts, lambda host: connect(host, known_hosts=folder.known_hosts, password=passwords.of(host)))

    def attribute(self, pairs: Iterable[Pair], again: Callable[[Pool, Sequence[Pair]], list[Proof]] | None = None) -> dict[Pair, Proof]:
        spec = inventory.load(Folder(root=self.lab.folder).cluster_yml)
        failed = [Proof(pair=pair, verdict=Verdict.DROPPED) for pair in pairs]
        with self.pool() as pool:
            found = trace.attribute(spec, pool, failed, lambda asked: (again or probe)(pool, asked))
        return {proof.pair: proof for proof in found}


def probe(pool: Pool, pairs: Sequence[Pair]) -> list[Proof]:
    """Every source asks its targets, all at once: what a SYN meets within 1.5 s (an ICMP error counts from the second on), a datagram just goes."""
    addresses = {host.name: host.address for host in pool.hosts}

    def ask(host: Host, connection: Connection) -> list[str]:
        mine = [(n, pair) for n, pair in enumerate(pairs) if pair.source == host.name]
        text = "".join(_ask(n, pair.port.protocol, f"{addresses[pair.target]}/{pair.number}") for n, pair in mine)
        return [line.decode() for line in connection.run(f"exec bash -c {shlex.quote(text + 'wait')}").lines()]

    said = [line for outcome in pool.map(ask, [h for h in pool.hosts if h.name in {p.source for p in pairs}]).values() for line in outcome.get()]
    codes = dict(line.split() for line in said)
    verdicts = {"0": Verdict.OPEN, "1": Verdict.REFUSED}
    return [Proof(pair=pair, verdict=verdicts.get(codes[str(n)], Verdict.DROPPED)) for n, pair in enumerate(pairs) if str(n) in codes]


def _ask(number: int, protocol: str, place: str) -> str:
    if protocol == "udp":
        return f"echo {number} >/dev/udp/{place}\n"
    return f"( timeout 1.5 bash -c '3<>/dev/tcp/{place}' 2>/dev/null; echo {number} $? ) &\n"


def pair(source: str, target: str, number: int, protocol: str = "tcp") -> Pair:
    return Pair(port=ports.NODEPORT_UDP if protocol == "udp" else ports.NODEPORT_TCP, source=source, target=target, number=number)


@contextmanager
def practising(claim: Claim, folder: Path) -> Iterator[Practice]:
    """Hosts with ufw and firewalld, both off, and no rules."""
    with claim("kbattr") as name:
        found = Practice(lab=labs.up(name=name, masters=3, workers=0, packages=("firewalld", "ufw"), inventory=folder / name))
        for host in found.lab.hosts:
            found.sh(host.name, "systemctl -q disable --now firewalld; nft flush ruleset")
        yield found
