"""Quorum's arithmetic: who may leave etcd, in which order, and what is said where nobody may."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.plan.etcd_members import Removal, find, named, quorum, removal
from kbootstrap.render.etcd import peer_url
from kbootstrap.report.etcd import Known
from kbootstrap.testing.builders import a_cluster


def member(name: str, *, learner: bool = False, number: int = 0) -> Known:
    number = number or int(name[1:])
    return Known(id=f"{number:x}", name=name, peer_urls=(f"https://10.0.0.{number}:2380",), client_urls=(), learner=learner)


def members(count: int) -> list[Known]:
    return [member(f"m{number}") for number in range(1, count + 1)]


def names(found: Removal) -> list[str]:
    return [each.name for each in found.order]


def test_quorums() -> None:
    assert [quorum(voters) for voters in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


def test_five_become_three() -> None:
    found = removal(members(5), {"m1", "m2", "m3", "m4", "m5"}, {"m1", "m4"})
    assert (names(found), found.problem) == (["m1", "m4"], "")


def test_the_dead_go_first_or_the_living_could_not() -> None:
    assert names(removal(members(5), {"m1", "m2", "m4"}, {"m1", "m5"})) == ["m5", "m1"]
    found = removal(members(5), {"m1", "m2", "m4"}, {"m1", "m4", "m5"})
    assert names(found) == []
    assert "removing m4 would break etcd's quorum: of the 2 voting members that are left (m2, m3) 2 must answer, m2 would" in found.problem
    assert found.hint.startswith("Bring m3 back first")


def test_a_dead_member_of_three_may_go_and_its_living_neighbour_may_not() -> None:
    assert names(removal(members(3), {"m1", "m2"}, {"m3"})) == ["m3"]
    refused = removal(members(3), {"m1", "m2"}, {"m2"})
    assert refused.order == ()
    assert "of the 2 voting members that are left (m1, m3) 2 must answer, m1 would" in refused.problem
    assert "or remove m3 before m2" in refused.hint


def test_the_last_one_stays() -> None:
    assert "no member of etcd would be left" in removal(members(1), {"m1"}, {"m1"}).problem
    assert "no member of etcd would be left" in removal(members(3), {"m1", "m2", "m3"}, {"m1", "m2", "m3"}).problem


def test_learners_go_before_all_and_count_for_nothing() -> None:
    both = [*members(3), member("m4", learner=True)]
    assert names(removal(both, {"m1", "m2"}, {"m3", "m4"})) == ["m4", "m3"]


def test_without_a_quorum_nobody_leaves_not_even_the_dead() -> None:
    refused = removal(members(2), {"m1"}, {"m2"})
    assert refused.problem.startswith("etcd has no quorum: of its 2 voting members 2 must answer, m1 does")
    assert "etcd.recover" in refused.hint


def test_who_has_gone_already_is_no_member() -> None:
    assert removal(members(3), {"m1", "m2", "m3"}, {"m9"}) == Removal()


def test_a_member_that_never_started_is_known_by_its_url() -> None:
    new = Known(id="f", name="", peer_urls=("https://10.0.0.4:2380",), client_urls=(), learner=True)
    assert find([*members(3), new], "m4", "https://10.0.0.4:2380") == new
    assert find([*members(3), new], "m5", "https://10.0.0.5:2380") is None
    assert find(members(3), "m2") == member("m2")


def test_one_that_was_added_and_never_started_leaves_by_the_name_of_its_master() -> None:
    spec = a_cluster(2, 0)
    m1, m2 = (Known(id=host.name[1:], name=host.name, peer_urls=(peer_url(host),), client_urls=()) for host in spec.masters)
    half = replace(m2, name="", learner=True)
    assert named([m1, half], spec.masters) == (m1, replace(half, name="m2"))
    assert removal(named([m1, half], spec.masters), {"m1"}, ["m2"]).order == (replace(half, name="m2"),)
    assert named([m1, replace(m2, name="former")], spec.masters) == (m1, m2)
    stranger = replace(half, id="9", peer_urls=("https://10.9.9.9:2380",))
    assert named([m1, m2, stranger], spec.masters) == (m1, m2, stranger)


@given(st.integers(1, 9), st.data())
def test_at_every_step_of_an_order_a_majority_of_who_is_left_answers(count: int, data: st.DataObject) -> None:
    all_ = [each.name for each in members(count)]
    alive = data.draw(st.sets(st.sampled_from(all_)))
    going = data.draw(st.sets(st.sampled_from(all_)))
    found, left = removal(members(count), alive, going), set(all_)
    if found.problem:
        assert found.order == ()
        assert found.hint
        return
    for each in names(found):
        left -= {each}
        assert len(left & alive) >= quorum(len(left))
    assert left == set(all_) - going
