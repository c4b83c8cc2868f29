"""The matrix and its proofs as an operator reads them: what fails is folded, and nothing of it is lost."""

from __future__ import annotations

import json

from kbootstrap import topology
from kbootstrap.model.reach import Cause, Proof, Verdict
from kbootstrap.report import ports
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster()
PAIRS = topology.pairs(SPEC)


def proofs(verdicts: dict[tuple[str, str, str], Verdict], *, detail: str = "", cause: Cause | None = None) -> list[Proof]:
    """All pairs open, except rows of (source, target, row); "*" is any source or target."""

    def one(source: str, target: str, row: str) -> Verdict:
        for key, verdict in verdicts.items():
            if all(want in ("*", have) for want, have in zip(key, (source, target, row), strict=True)):
                return verdict
        return Verdict.OPEN

    found = []
    for pair in PAIRS:
        verdict = one(pair.source, pair.target, pair.port.name)
        open_ = verdict is Verdict.OPEN
        proof = Proof(pair=pair, verdict=verdict, detail="" if open_ else detail, answered="probe" if open_ else "", cause=None if open_ else cause)
        found.append(proof)
    return found


def told(found: list[Proof]) -> list[str]:
    return [f"{p.where} | {p.what} | {p.hint.strip()}" for p in ports.problems(found)]


def test_all_open() -> None:
    found = proofs({})
    assert ports.problems(found) == ()
    assert ports.summary(found) == f"{len(PAIRS)} of {len(PAIRS)} pairs open: {len(PAIRS)} answered by a listener of ours"


def test_one_closed_port_is_one_line_with_all_who_need_it() -> None:
    assert told(proofs({("*", "m2", "kube-apiserver"): Verdict.DROPPED}, detail="no answer for 3.4 s")) == [
        "m2 ← m1, m3, w1, w2 | 6443/tcp (kube-apiserver) dropped | "
    ]


def test_a_host_that_reaches_nobody_is_told_by_itself() -> None:
    lines = told(proofs({("w1", "*", "kube-apiserver"): Verdict.NO_ROUTE}, detail="w1 has no way: no route to the network"))
    assert len(lines) == 1
    assert lines[0].startswith("w1 → m1, m2, m3 | 6443/tcp (kube-apiserver) no route: w1 has no way")


def test_ports_that_met_the_same_share_a_line() -> None:
    lines = told(proofs({("m1", "m2", "*"): Verdict.REFUSED}, detail="rejected: ICMP port unreachable"))
    assert len(lines) == 1
    for part in ("m2 ← m1", "6443/tcp", "2379/tcp", "2380/tcp", "10250/tcp", "10256/tcp", "refused: rejected: ICMP port unreachable"):
        assert part in lines[0]


def test_a_cause_says_where_and_what_mends_it() -> None:
    cause = Cause(host="m2", stack="nftables", verdict="drop", hint="nft delete …", chain="inet filter input", rule="tcp dport 2380 drop")
    (line,) = told(proofs({("*", "m2", "etcd-peer"): Verdict.DROPPED}, cause=cause))
    assert "m2 ← m1, m3" in line
    assert "inet filter input" in line
    assert "tcp dport 2380 drop" in line
    assert "nft delete …" in line


def test_a_host_that_cannot_be_read_is_one_line() -> None:
    lines = told(proofs({("w2", "*", "*"): Verdict.UNPROVEN, ("*", "w2", "*"): Verdict.UNPROVEN}, detail="w2: no answer within 20 s"))
    assert len(lines) == 1
    assert lines[0].startswith("w2 | ")
    assert "pairs unproven" in lines[0]


def test_another_hosts_name_is_not_taken_for_a_part_of_it() -> None:
    (line,) = told(proofs({("m1", "m2", "kube-apiserver"): Verdict.WRONG_HOST}, detail="m11 answered"))
    assert line == "m2 ← m1 | 6443/tcp (kube-apiserver) wrong host: m11 answered | "


def test_many_hosts_are_counted() -> None:
    spec = a_cluster(1, 12)
    found = [Proof(pair=pair, verdict=Verdict.DROPPED) for pair in topology.pairs(spec) if pair.port.name == "kube-apiserver"]
    (problem,) = ports.problems(found)
    assert problem.where == "m1 ← w1, w2, w3, w4, w5 … (12 in all)"


def test_the_matrix_as_a_table_and_as_data() -> None:
    rows = topology.rows(SPEC)
    lines = list(ports.matrix([(row.port, row.targets) for row in rows]))
    assert len(lines) == len(rows) + 1
    assert lines[0].split() == ["ROW", "PROTO", "PORTS", "ON", "REACHED", "BY", "HOOK", "WHY"]
    assert any(line.split()[:3] == ["nodeport-udp", "udp", "30000-32767"] for line in lines)
    data = json.loads(json.dumps(ports.matrix_data([(row.port, row.targets, row.sources) for row in rows])))
    assert {row["row"] for row in data} == {row.port.name for row in rows}
    (peer,) = [row for row in data if row["row"] == "etcd-peer"]
    assert (peer["targets"], peer["hosts"], peer["reached_by"]) == (["m1", "m2", "m3"], ["m1", "m2", "m3"], ["masters"])


def test_proofs_as_data_lose_nothing() -> None:
    cause = Cause(host="m2", stack="ufw", verdict="drop", hint="ufw allow …")
    data = json.loads(json.dumps(ports.proofs_data(proofs({("m1", "m2", "etcd-peer"): Verdict.DROPPED}, cause=cause))))
    assert len(data) == len(PAIRS)
    (bad,) = [each for each in data if each["verdict"] != "open"]
    assert (bad["source"], bad["target"], bad["port"], bad["cause"]["stack"]) == ("m1", "m2", 2380, "ufw")
