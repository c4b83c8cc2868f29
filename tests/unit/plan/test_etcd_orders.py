"""What members without data are told: begin, join, wait; and that nobody begins beside a cluster that is only silent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.errors import PreflightError
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.plan import Action, Change, Gate, HostPlan, Plan, Stage
from kbootstrap.plan.etcd_orders import MEMBER, PROBE, SERVICE, VOTER, Act, Order, Standing, into, orders, parse, standing, undecided
from kbootstrap.plan.stages import CONTROL_PLANE, ETCD
from kbootstrap.render import etcd
from kbootstrap.report.etcd import Known
from kbootstrap.testing.builders import a_cluster

BARE = Standing()
EMPTY = Standing(joined=True, unit=True)  # its disk is lost, its system is not
WELL = Standing(data=True, joined=True, unit=True, runs=True)
STOPPED = Standing(data=True, joined=True, unit=True)
STARTING = Standing(data=True, unit=True)  # of a first installation that was cut off
LEARNING = Standing(data=True, joined=True, learner=True, unit=True, runs=True)

THREE = a_cluster(3, 0)


def known(*names: str, learner: str = "", unstarted: str = "") -> tuple[Known, ...]:
    return tuple(
        Known(
            id=f"{number:x}",
            name="" if name == unstarted else name,
            peer_urls=(etcd.peer_url(THREE.host(name)),),
            client_urls=(),
            learner=name in (learner, unstarted),
        )
        for number, name in enumerate(names, 10)
    )


def told(found: Mapping[str, Standing], members: tuple[Known, ...] = (), chosen: Collection[str] = ("m1", "m2", "m3")) -> dict[str, Act]:
    return {order.host.name: order.act for order in orders(THREE, found, chosen, members)}


def stand(*each: Standing) -> dict[str, Standing]:
    return dict(zip(("m1", "m2", "m3"), each, strict=True))


def test_the_probe_is_read_back() -> None:
    assert "/var/lib/etcd/member/wal" in PROBE
    assert standing(parse("/var/lib/etcd/member/wal\n/var/lib/kbootstrap/etcd-joined\n"), {"ActiveState": "active"}) == WELL
    assert standing(parse(""), None) == BARE
    assert standing(parse("/var/lib/kbootstrap/etcd-joined\n"), {"ActiveState": "activating"}) == EMPTY


def test_a_whole_cluster_is_asked_nothing() -> None:
    assert not undecided(stand(WELL, WELL, WELL))
    assert not undecided({})
    for other in (BARE, EMPTY, STOPPED, LEARNING):
        assert undecided(stand(WELL, other, WELL))


def test_bare_hosts_begin_and_so_does_the_rest_of_a_first_installation_that_was_cut_off() -> None:
    assert told(stand(BARE, BARE, BARE)) == dict.fromkeys(("m1", "m2", "m3"), Act.BEGIN)
    assert told(stand(STARTING, BARE, BARE)) == {"m2": Act.BEGIN, "m3": Act.BEGIN}
    assert told(stand(STARTING, STARTING, STARTING)) == {}


def test_growing_joins_and_who_was_being_added_goes_first() -> None:
    assert told(stand(WELL, BARE, BARE), known("m1")) == {"m2": Act.JOIN, "m3": Act.JOIN}
    added = orders(THREE, stand(WELL, BARE, BARE), ("m1", "m2", "m3"), known("m1", "m3", unstarted="m3"))
    assert [(order.host.name, order.act) for order in added] == [("m3", Act.JOIN), ("m2", Act.JOIN)]
    assert "an earlier run added it" in added[0].reason
    assert [host.name for host in added[0].through] == ["m1"]
    half = orders(THREE, stand(WELL, BARE, LEARNING), ("m1", "m2", "m3"), known("m1", "m3", learner="m3"))
    assert [(order.host.name, order.act) for order in half] == [("m3", Act.PROMOTE), ("m2", Act.JOIN)]
    assert [host.name for host in half[1].through] == ["m1"], "a learner answers nobody"


def test_a_lost_disk_joins_anew() -> None:
    found = orders(THREE, stand(WELL, EMPTY, WELL), ("m1", "m2", "m3"), known("m1", "m2", "m3"))
    assert [(order.host.name, order.act) for order in found] == [("m2", Act.JOIN)]
    assert "its former member b is removed" in found[0].reason
    assert [host.name for host in found[0].through] == ["m1", "m3"]
    assert told(stand(WELL, BARE, WELL), known("m1", "m2", "m3"), chosen=("m2",)) == {"m2": Act.JOIN}


def test_data_of_a_member_that_was_removed_is_no_member() -> None:
    found = orders(THREE, stand(WELL, STOPPED, WELL), ("m1", "m2", "m3"), known("m1", "m3"))
    assert [(order.act, "kept aside" in order.reason) for order in found] == [(Act.JOIN, True)]
    assert told(stand(WELL, STOPPED, WELL), known("m1", "m2", "m3")) == {}, "it is only stopped"


def test_a_host_that_got_another_name_is_the_member_it_was() -> None:
    former = replace(known("m2")[0], name="old")
    assert told(stand(WELL, STOPPED, WELL), (*known("m1", "m3"), former)) == {}
    assert told(stand(WELL, BARE, WELL), (*known("m1", "m3"), former)) == {"m2": Act.JOIN}


def test_nobody_begins_beside_a_survivor_that_is_silent() -> None:
    with pytest.raises(PreflightError, match="m2, m3 without etcd's data, and those with it \\(m1\\) do not answer for a majority") as refused:
        told(stand(STOPPED, EMPTY, EMPTY))
    assert "invoke etcd.recover" in refused.value.hint
    with pytest.raises(PreflightError) as refused:
        told(stand(STOPPED, EMPTY, STOPPED))
    assert "invoke cluster.up --limit m1,m3" in refused.value.hint
    with pytest.raises(PreflightError, match="no master has its data any more") as refused:
        told(stand(EMPTY, EMPTY, EMPTY))
    assert "invoke etcd.restore" in refused.value.hint


def test_a_bare_host_in_their_place_is_prepared_and_waits() -> None:
    assert told(stand(STOPPED, BARE, BARE)) == {"m2": Act.WAIT, "m3": Act.WAIT}


STANDINGS = st.sampled_from([BARE, EMPTY, WELL, STOPPED, STARTING, LEARNING])


@given(st.tuples(STANDINGS, STANDINGS, STANDINGS), st.sets(st.sampled_from(["m1", "m2", "m3"])))
def test_whatever_is_found_nobody_begins_where_there_was_a_cluster(each: tuple[Standing, ...], chosen: set[str]) -> None:
    found = stand(*each)
    try:
        acts = told(found, (), chosen)
    except PreflightError as error:
        assert error.hint
        return
    if any(one.joined for one in each):
        assert Act.BEGIN not in acts.values()
    assert set(acts) == {name for name in chosen if not found[name].data}


# --- in the plan


def start(host: str) -> Change:
    return Change(host=host, key=SERVICE, action=Action.RUN, reason="new unit: enable and start", commands="start\n")


GATE = Gate(name="etcd-endpoint", text="")
READY = Gate(name="apiserver-readyz", text="")
API = "service/kube-apiserver.service"
DESIRED = Desired(hosts={name: {ETCD: Wanted(gates=(GATE,)), CONTROL_PLANE: Wanted(gates=(READY,))} for name in ("m1", "m2", "m3")})


def plan(*hosts: str) -> Plan:
    plans = tuple(HostPlan(host=name, changes=(file(name), start(name))) for name in hosts)
    later = Stage(name="CONTROL PLANE", hosts=(HostPlan(host="m2", changes=(file("m2"),)),))
    return Plan(stages=(Stage(name=ETCD, hosts=plans), later) if hosts else (later,))


def file(host: str) -> Change:
    return Change(host=host, key="/etc/x", action=Action.CREATE, reason="absent", commands="write\n")


def order(name: str, act: Act) -> Order:
    return Order(host=THREE.host(name), act=act, reason="because", through=(THREE.host("m1"),), hint="next")


def test_an_order_stands_before_the_start_and_the_vote_behind_it() -> None:
    found = into(plan("m1", "m2", "m3"), [order("m3", Act.JOIN), order("m2", Act.JOIN)], THREE, DESIRED)
    stage = found.stages[0]
    assert [host.host for host in stage.hosts] == ["m1", "m3", "m2"]
    assert [change.key for change in stage.hosts[1].changes] == ["/etc/x", MEMBER, SERVICE, VOTER]
    assert [host.serial for host in stage.hosts] == [False, True, True]
    assert stage.hosts[1].gates == (GATE,)


def test_who_begins_does_not_go_alone() -> None:
    found = into(plan("m1"), [order("m1", Act.BEGIN)], THREE, DESIRED).stages[0].hosts[0]
    assert [change.key for change in found.changes] == ["/etc/x", MEMBER, SERVICE]
    assert not found.serial
    assert "ETCD_INITIAL_CLUSTER_STATE=new\n" in found.changes[1].commands


def test_a_disk_that_was_lost_is_a_plan_though_nothing_else_differs() -> None:
    found = into(Plan(stages=()), [order("m2", Act.JOIN)], THREE, DESIRED)
    assert [(change.host, change.key) for change in found.changes()] == [("m2", MEMBER), ("m2", VOTER), ("m2", API)]
    assert found.stages[1].hosts[0].gates == (READY,)


def test_the_api_server_is_in_the_plan_whatever_it_was_found_doing() -> None:
    later = Stage(name=CONTROL_PLANE, hosts=(HostPlan(host="m2", changes=(replace(start("m2"), key=API),)),))
    found = into(Plan(stages=(later,)), [order("m2", Act.PROMOTE)], THREE, DESIRED)
    assert [(change.host, change.key) for change in found.changes()] == [("m2", VOTER), ("m2", API)]
    assert found.stages[1] == later


def test_who_waits_ends_the_plan_before_etcd_starts() -> None:
    found = into(plan("m1", "m2"), [order("m2", Act.WAIT)], THREE, DESIRED)
    assert [stage.name for stage in found.stages] == [ETCD]
    assert [(change.host, change.key) for change in found.changes()] == [("m1", "/etc/x"), ("m1", SERVICE), ("m2", "/etc/x"), ("m2", MEMBER)]
    assert not any(host.gates for host in found.stages[0].hosts)
