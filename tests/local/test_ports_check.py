"""Listeners and dials between «hosts» that are addresses of loopback: the real program, real shells, no network."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kbootstrap import topology
from kbootstrap.catalog.ports import API
from kbootstrap.engine import ports, trace
from kbootstrap.engine.listeners import listeners
from kbootstrap.errors import ConnectError, PreflightError
from kbootstrap.model.cluster import ClusterSpec, Preflight
from kbootstrap.model.events import Event, Note, silent
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Verdict
from kbootstrap.probe import talk
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.local import LocalConnection
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster


def a_spec(masters: int, workers: int) -> ClusterSpec:
    found = a_cluster(masters, workers)
    return replace(found, hosts=tuple(replace(host, address=IPv4Address("127.77.0.0") + n) for n, host in enumerate(found.hosts, 1)))


def local(host: Host) -> Connection:
    return LocalConnection(host.name)


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Fewer threads than hosts: nobody may wait for another host's thread."""
    with Pool(a_spec(3, 12).hosts, local, forks=4) as found:
        yield found


def test_many_hosts_prove_each_other(pool: Pool) -> None:
    spec = a_spec(3, 12)
    pairs = topology.pairs(spec, chosen=7)
    began = time.monotonic()
    proofs = ports.check(spec, pool, silent, pairs=pairs)
    assert time.monotonic() - began < 60
    assert [proof.pair for proof in proofs] == list(pairs)
    assert {(proof.verdict, proof.answered) for proof in proofs} == {(Verdict.OPEN, "probe")}
    assert len(pairs) > 1000


def test_a_daemon_is_found_where_it_listens_and_missed_where_it_went(pool: Pool) -> None:
    spec = a_spec(3, 12)
    m1 = spec.host("m1")
    asked = [pair for pair in topology.pairs(spec) if pair.port == API and pair.target == "m1"]
    with socket.create_server((str(m1.address), API.number)) as daemon, listeners(spec, pool, asked) as probes:
        proofs = probes.prove(asked)
        assert {(proof.verdict, proof.answered) for proof in proofs} == {(Verdict.OPEN, "daemon")}
        daemon.close()
        assert {proof.verdict for proof in probes.prove(asked)} == {Verdict.REFUSED}


def test_a_host_that_cannot_be_reached_costs_its_own_pairs_alone() -> None:
    spec = a_spec(2, 1)

    def connect(host: Host) -> Connection:
        if host.name == "w1":
            raise ConnectError("no answer within 20 s", host="w1")
        return local(host)

    with Pool(spec.hosts, connect) as pool:
        proofs = ports.check(spec, pool, silent)
    assert {proof.verdict for proof in proofs if "w1" in (proof.pair.source, proof.pair.target)} == {Verdict.UNPROVEN}
    assert {proof.verdict for proof in proofs if "w1" not in (proof.pair.source, proof.pair.target)} == {Verdict.OPEN}
    assert all("no answer within 20 s" in proof.detail for proof in ports.failing(proofs))


def test_without_a_folder_for_programs_nothing_is_called_open(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = a_spec(2, 1)
    monkeypatch.setattr(talk, "PLACES", ("/proc",))
    asked = topology.pairs(spec)
    with listeners(spec, pool, asked) as probes:
        proofs = probes.prove(asked)
    assert {proof.verdict for proof in proofs} == {Verdict.UNPROVEN}
    assert all("/proc lets a program run" in proof.detail for proof in proofs)


def test_the_program_runs_from_the_next_folder(pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = a_spec(1, 1)
    monkeypatch.setattr(talk, "PLACES", ("/proc", str(tmp_path)))
    assert {proof.verdict for proof in ports.check(spec, pool, silent)} == {Verdict.OPEN}
    assert list(tmp_path.iterdir()) == []


def test_an_installation_is_refused_unless_the_row_is_waived(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = a_spec(1, 1)
    taken = (str(spec.host("m1").address), API.number)
    notes: list[Event] = []
    monkeypatch.setattr(trace, "explained", lambda spec, pool, proofs, again: tuple(proofs))  # no rules on the machine of the tests

    def require(spec: ClusterSpec, fresh: tuple[str, ...] = ("m1", "w1")) -> None:
        with Pool(spec.hosts, local) as pool:
            ports.require(spec, pool, notes.append, read={"m1", "w1"}, fresh=fresh)

    with socket.socket() as bound:
        bound.bind(taken)  # held, and nobody listens: every dial is reset
        require(spec, fresh=())
        with pytest.raises(PreflightError) as caught:
            require(spec)
        assert [problem.where for problem in caught.value.problems] == ["m1 ← w1"]
        require(replace(spec, preflight=Preflight(waive={"reach-kube-apiserver": "a proxy stands before it"})))
    warned = [note.text for note in notes if isinstance(note, Note) and note.warning]
    assert len(warned) == 1
    assert "a proxy stands before it" in warned[0]
    require(spec)
