"""How a plan is executed: who goes together, who alone, what a failure stops, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from kbootstrap.engine.apply import Applying, apply, raise_together
from kbootstrap.errors import ApplyError, ConnectError, KbError
from kbootstrap.model import events
from kbootstrap.model.plan import CLUSTER, Action, Change, Gate, HostPlan, Stage
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.connection import Running
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import FakeHost, Script, changing

SPEC = a_cluster(3, 2)


class Free:
    """A lock that nobody took."""

    def check(self) -> None:
        """It is still ours."""


class Seen(FakeHost):
    """Notes in *order* that it was asked."""

    order: list[str]

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        self.order.append(self.host)
        return super().run(program, payload=payload, deadline_s=deadline_s, idle_s=idle_s)


@dataclass
class Cluster:
    """Hosts that answer as told: *results* of a host are (exit code, output) by change."""

    results: Mapping[str, Mapping[str, tuple[int, bytes]]] = field(default_factory=dict)
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    broken: Mapping[str, KbError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order: list[str] = []
        self.events: list[events.Event] = []
        self.hosts: dict[str, Seen] = {}
        for host in SPEC.hosts:
            scripts: list[Script] = [changing(self.results.get(host.name))]
            self.hosts[host.name] = Seen(host=host.name, scripts=scripts)
            self.hosts[host.name].order = self.order

    def apply(self, *stages: Stage) -> list[KbError]:
        def connect(host: Any) -> Any:
            if host.name in self.broken:
                raise self.broken[host.name]
            return self.hosts[host.name]

        applying = Applying(
            spec=SPEC,
            pool=Pool(SPEC.hosts, connect),
            listener=self.events.append,
            ledgers=self.ledgers,
            pushes={},
            locks=cast(Any, {host.name: Free() for host in SPEC.hosts}),
        )
        return apply(applying, stages)

    def asked(self, host: str) -> str:
        return "\n".join(self.hosts[host].programs)


def change(host: str, key: str, **more: Any) -> Change:
    return Change(**{"host": host, "key": key, "action": Action.UPDATE, "reason": "x", "commands": f"make {key}\n", **more})


def stage(name: str, *hosts: str, key: str = "", gates: tuple[Gate, ...] = (), **more: Any) -> Stage:
    plans = tuple(HostPlan(host=host, changes=(change(host, key or f"/{name}", **more),), gates=gates) for host in hosts)
    return Stage(name=name, hosts=plans)


FAILS = {"/A": (7, b"no space left\n")}


def test_stages_follow_each_other_and_hosts_of_one_go_together() -> None:
    cluster = Cluster()
    assert cluster.apply(stage("A", "m1", "m2", "w1"), stage("B", "m1", "w2")) == []
    assert sorted(cluster.order[:3]) == ["m1", "m2", "w1"]
    assert sorted(cluster.order[3:]) == ["m1", "w2"]
    names = [(type(e).__name__, e.stage) for e in cluster.events if isinstance(e, (events.StageStarted, events.StageFinished))]
    assert names == [("StageStarted", "A"), ("StageFinished", "A"), ("StageStarted", "B"), ("StageFinished", "B")]


def test_a_failure_stops_its_host_with_the_changes_last_words() -> None:
    cluster = Cluster(results={"w1": FAILS})
    plan = HostPlan(host="w1", changes=(change("w1", "/before"), change("w1", "/A"), change("w1", "/behind")), gates=(Gate(name="g", text="true"),))
    (error,) = cluster.apply(Stage(name="A", hosts=(plan,)))
    assert (error.host, error.message) == ("w1", "/A failed (7): no space left")
    finished = [(e.change_id, e.exit_code) for e in cluster.events if isinstance(e, events.ChangeFinished)]
    assert finished == [("/before", 0), ("/A", 7)]


def test_a_masters_failure_ends_the_run_behind_its_stage() -> None:
    cluster = Cluster(results={"m2": FAILS})
    errors = cluster.apply(stage("A", "m1", "m2", "m3"), stage("B", "m1", "m3"))
    assert [error.host for error in errors] == ["m2"]
    assert sorted(cluster.order) == ["m1", "m2", "m3"], "who was at work goes on; nobody begins the next stage"


def test_a_workers_failure_stops_no_other_host() -> None:
    cluster = Cluster(results={"w1": FAILS})
    errors = cluster.apply(stage("A", "m1", "w1", "w2"), stage("B", "m1", "w1", "w2"), stage("C", "w1"))
    assert [error.host for error in errors] == ["w1"]
    assert "make /B" in cluster.asked("w2")
    assert "make /B" not in cluster.asked("w1"), "a host that failed is left alone"
    assert "make /C" not in cluster.asked("w1")


def test_running_members_of_a_quorum_go_one_by_one() -> None:
    cluster = Cluster()
    assert cluster.apply(stage("A", "m1", "m2", "m3", disruptive=True)) == []
    assert cluster.order == ["m1", "m2", "m3"]


def test_the_first_failure_of_those_that_go_alone_keeps_the_others_running() -> None:
    cluster = Cluster(results={"m2": FAILS})
    errors = cluster.apply(stage("A", "m1", "m2", "m3", disruptive=True), stage("B", "w1"))
    assert [error.host for error in errors] == ["m2"]
    assert cluster.order == ["m1", "m2"]


def test_a_workers_failure_leaves_no_master_half_way() -> None:
    """Else the next stage would meet a master whose own stage was never done."""
    cluster = Cluster(results={"w1": FAILS})
    plans = (*stage("A", "w1").hosts, *stage("A", "m1", "m2", disruptive=True).hosts)
    cluster.apply(Stage(name="A", hosts=plans), stage("B", "m1"))
    assert cluster.order == ["w1", "m1", "m2", "m1"]


def test_the_api_is_nobodys_stream() -> None:
    cluster = Cluster()
    api = HostPlan(host=CLUSTER, changes=(change(CLUSTER, "manifest/x"),))
    assert cluster.apply(Stage(name="A", hosts=(*stage("A", "w1").hosts, api)), Stage(name="B", hosts=(api,))) == []
    assert cluster.order == ["w1"]
    assert [e.stage for e in cluster.events if isinstance(e, events.StageStarted)] == ["A"]


def test_a_stream_that_ends_early_names_the_change_that_was_under_way() -> None:
    cluster = Cluster()
    cluster.hosts["w1"].scripts = []
    (error,) = cluster.apply(stage("A", "w1"))
    assert error.message.startswith("the stream ended in /A")


def test_a_host_that_cannot_be_reached_is_an_error_like_any_other() -> None:
    cluster = Cluster(broken={"w2": ConnectError("no route to host", host="w2")})
    assert [error.message for error in cluster.apply(stage("A", "w1", "w2"))] == ["no route to host"]


def test_all_failed_hosts_are_in_one_error() -> None:
    errors = Cluster(results={"w1": FAILS, "w2": FAILS}).apply(stage("A", "w1", "w2"))
    with pytest.raises(ApplyError, match="2 host") as caught:
        raise_together(errors)
    assert sorted(problem.where for problem in caught.value.problems) == ["w1", "w2"]
    assert all("no space left" in problem.what and "Run the same command again" in problem.hint for problem in caught.value.problems)
    raise_together([])


def test_a_gate_is_a_step_with_its_own_name_and_its_failure_the_hosts() -> None:
    cluster = Cluster(results={"m1": {"gate/healthy": (1, b"not yet\n")}})
    (error,) = cluster.apply(stage("A", "m1", gates=(Gate(name="healthy", text="check\n"),)))
    assert error.message == "gate/healthy failed (1): not yet"


def test_a_deadline_is_told_as_such() -> None:
    (error,) = Cluster(results={"w1": {"/A": (124, b"still waiting\n")}}).apply(stage("A", "w1", deadline_s=7.0))
    assert error.message == "/A took longer than 7 s: still waiting"


def test_a_payload_goes_by_standard_input_alone() -> None:
    cluster = Cluster()
    cluster.apply(stage("A", "w1", payload=b"correct horse"))
    assert cluster.hosts["w1"].payloads == [b"correct horse"]
    assert "correct horse" not in cluster.asked("w1") + repr(cluster.events)


def test_what_was_deleted_leaves_the_ledger_behind_the_deletion() -> None:
    entries: dict[str, Any] = {key: {"kind": "file", "before": None} for key in ("/A", "/stays")}
    cluster = Cluster(ledgers={"w1": Ledger(cluster_id="c", entries=entries)})
    assert cluster.apply(stage("A", "w1", action=Action.DELETE)) == []
    program, payload = cluster.asked("w1"), b"".join(cluster.hosts["w1"].payloads)
    assert program.index("make /A") < program.rindex("host.json")
    assert b"/stays" in payload
    assert b'"/A"' not in payload
