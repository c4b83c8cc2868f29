"""What is told before hosts leave, and the sh texts of it."""

from __future__ import annotations

from kbootstrap.plan import node_leave as words
from kbootstrap.report.etcd import Known
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(masters=5, workers=1)


def member(name: str, *, learner: bool = False) -> Known:
    return Known(id=f"{len(name)}{name[-1]}", name=name, peer_urls=(), client_urls=(), learner=learner)


MEMBERS = tuple(member(f"m{n}") for n in range(1, 6))


def test_who_lives_is_cleaned_and_who_is_dead_is_not() -> None:
    lines = list(words.told(SPEC.host("m4"), node="m4: cordon; 3 pods leave", dead="", member=True, stays=False))
    assert lines == [
        "m4: cordon; 3 pods leave",
        "m4: its member leaves etcd; its node is deleted; the host is cleaned by its ledger; it is taken out of cluster.yml",
    ]
    lines = list(words.told(SPEC.host("m4"), node="m4: cordon; 3 pods leave", dead="no answer", member=True, stays=True))
    assert "does not answer (no answer)" in lines[0]
    assert "cleaned by" not in lines[1]
    assert "cluster.yml" not in lines[1]


def test_what_a_killed_run_has_done_is_not_told_again() -> None:
    (line,) = words.told(SPEC.host("m4"), node="", dead="", member=False, stays=False)
    assert line == "m4: the host is cleaned by its ledger; it is taken out of cluster.yml"


def test_what_etcd_bears_afterwards() -> None:
    assert list(words.odds(5, 2, stays=False)) == ["etcd: 5 → 3 members; it then survives 1 failures, not 2"]
    assert list(words.odds(3, 1, stays=True)) == ["etcd: 2 members until the new one has joined; it then survives 0 failures, not 1"]
    assert list(words.odds(3, 0, stays=False)) == []


def test_the_leader_hands_over_to_those_that_stay() -> None:
    staying = words.voting((*MEMBERS, member("m6", learner=True)), {"m4", "m5"})
    assert [each.name for each in staying] == ["m1", "m2", "m3"]
    text = words.hand_over(SPEC.host("m4"), staying)
    assert "for id in 21 22 23; do" in text
    assert "https://10.77.0.14:" in text


def test_nodes_are_deleted_through_one_that_stays() -> None:
    text = words.forget_nodes(SPEC.host("m1"), ["m4", "m5"])
    assert "delete node m4 m5 --ignore-not-found" in text
    assert "10.77.0.11" in text
