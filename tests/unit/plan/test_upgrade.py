"""Another version's order of work: which host does what when, upwards and back; nothing of the plan is lost."""

from __future__ import annotations

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.plan import CLUSTER, Action, Change, Gate, HostPlan, Plan, Stage
from kbootstrap.model.resource import Resource, Service
from kbootstrap.plan import upgrade
from kbootstrap.plan.compare import RELOAD
from kbootstrap.plan.upgrade import CONTROLLERS, ETCD, NODES, SERVERS, Wave
from kbootstrap.testing.builders import a_cluster

MASTERS, HOSTS = ("m1", "m2", "m3"), ("m1", "m2", "m3", "w1", "w2")
CA = paths.CA


def a_service(name: str, *inputs: str) -> Service:
    unit = f"{name}.service"
    return Service(name=unit, inputs=dict.fromkeys((*inputs, paths.unit(unit)), "x"), binaries=(f"{paths.BIN}/{name}",))


CONTROL = (a_service("kube-apiserver", CA, paths.ADMIN_CONF), a_service("kube-controller-manager", CA), a_service("kube-scheduler"))


def a_change(host: str, key: str, resource: Resource | None = None, reason: str = "another content") -> Change:
    return Change(host=host, key=key, action=Action.UPDATE, reason=reason, commands="", resource=resource)


def of_service(host: str, service: Service) -> list[Change]:
    """What a new program brings: itself, the unit, the restart."""
    restart = a_change(host, service.key, service, f"restart: new {service.binaries[0]}")
    return [a_change(host, service.binaries[0]), a_change(host, paths.unit(service.name)), restart]


def a_stage(name: str, hosts: tuple[str, ...], *services: Service, more: tuple[str, ...] = ()) -> Stage:
    gates = (Gate(name=name, text=""),)
    plans = []
    for host in hosts:
        changes = [a_change(host, key) for key in more] + [c for s in services for c in of_service(host, s)]
        plans.append(HostPlan(host=host, changes=(*changes[:-1], a_change(host, RELOAD), changes[-1]), gates=gates))
    return Stage(name=name, hosts=tuple(plans))


def a_plan() -> Plan:
    objects = HostPlan(host=CLUSTER, changes=(a_change(CLUSTER, "Deployment/coredns"),))
    return Plan(
        stages=(
            a_stage("RUNTIME", HOSTS, a_service("containerd")),
            a_stage("ETCD", MASTERS, a_service("etcd")),
            a_stage("CONTROL PLANE", MASTERS, *CONTROL, more=(CA,)),
            a_stage("WORKERS", HOSTS, a_service("kubelet"), a_service("kube-proxy")),
            Stage(name="ADD-ONS", hosts=(objects,)),
        )
    )


DESIRED = Desired(hosts={key: {"CONTROL PLANE": Wanted(resources=CONTROL)} for key in HOSTS})

SPEC = a_cluster(3, 2)


def turns(waves: tuple[Wave, ...]) -> list[tuple[str, str]]:
    return [(wave.name, turn.host) for wave in waves for turn in wave.turns]


def test_upwards_api_servers_come_before_whoever_asks_them() -> None:
    waves = upgrade.waves(a_plan(), DESIRED, SPEC)
    wanted = [(name, host) for name in (ETCD, SERVERS, CONTROLLERS) for host in MASTERS] + [(NODES, host) for host in HOSTS]
    assert turns(waves) == wanted
    assert {wave.width for wave in waves} == {1}


def test_back_nothing_is_ever_newer_than_an_api_server() -> None:
    waves = upgrade.waves(a_plan(), DESIRED, SPEC, back=True, max_unavailable=2)
    assert [wave.name for wave in waves] == [NODES, CONTROLLERS, SERVERS, ETCD]
    assert [wave.width for wave in waves] == [2, 1, 1, 1]


def test_nothing_is_lost_and_only_reloads_are_done_twice() -> None:
    plan = a_plan()
    now = upgrade.ordered(plan, upgrade.waves(plan, DESIRED, SPEC))
    before, after = sorted(c.id for c in plan.changes() if c.key != RELOAD), sorted(c.id for c in now.changes() if c.key != RELOAD)
    assert after == before
    assert now.stages[-1].hosts[0].host == CLUSTER


def test_what_an_api_server_shares_comes_with_it_and_controllers_get_their_own() -> None:
    waves = {wave.name: wave for wave in upgrade.waves(a_plan(), DESIRED, SPEC)}
    servers = [change.key for change in waves[SERVERS].turns[0].changes]
    controllers = [change.key for change in waves[CONTROLLERS].turns[0].changes]
    assert servers == [CA, f"{paths.BIN}/kube-apiserver", paths.unit("kube-apiserver.service"), "service/kube-apiserver.service", RELOAD]
    assert controllers[0] == f"{paths.BIN}/kube-controller-manager"
    assert controllers[-2:] == [RELOAD, "service/kube-scheduler.service"]
    assert CA not in controllers


def test_a_node_goes_part_by_part_each_behind_its_gates() -> None:
    wave = next(wave for wave in upgrade.waves(a_plan(), DESIRED, SPEC) if wave.name == NODES)
    turn = next(turn for turn in wave.turns if turn.host == "w1")
    assert [part.gates[0].name for part in turn.parts] == ["RUNTIME", "WORKERS"]
    assert turn.units == ("containerd.service", "kubelet.service", "kube-proxy.service")
    assert turn.drains


def test_what_is_done_already_is_no_turn() -> None:
    """A run that was killed behind m1's API server finds less to do, in the same order."""
    plan = a_plan()
    left = tuple(
        Stage(name=s.name, hosts=tuple(h for h in s.hosts if s.name != "ETCD" and not (s.name == "CONTROL PLANE" and h.host == "m1")))
        for s in plan.stages
    )
    found = turns(upgrade.waves(Plan(stages=left), DESIRED, SPEC))
    assert found[:4] == [(SERVERS, "m2"), (SERVERS, "m3"), (CONTROLLERS, "m2"), (CONTROLLERS, "m3")]


def test_only_what_runs_pods_is_drained_for_and_a_new_node_is_not() -> None:
    proxy = a_stage("WORKERS", ("w1",), a_service("kube-proxy"))
    assert not upgrade.waves(Plan(stages=(proxy,)), DESIRED, SPEC)[0].turns[0].drains
    kubelet = a_service("kubelet")
    new = a_change("w1", kubelet.key, kubelet, "new unit: enable and start")
    stage = Stage(name="WORKERS", hosts=(HostPlan(host="w1", changes=(new,)),))
    assert not upgrade.waves(Plan(stages=(stage,)), DESIRED, SPEC)[0].turns[0].drains


def test_the_only_node_that_takes_pods_keeps_them() -> None:
    nodes = a_stage("WORKERS", ("m1", "w1"), a_service("kubelet"))
    (wave,) = upgrade.waves(Plan(stages=(nodes,)), DESIRED, a_cluster(1, 1))
    assert [(turn.host, turn.drains) for turn in wave.turns] == [("m1", True), ("w1", False)]


def test_what_goes_through_the_api_is_no_turn() -> None:
    stage = Stage(name="ADD-ONS", hosts=(HostPlan(host=CLUSTER, changes=(a_change(CLUSTER, "x"),)),))
    plan = Plan(stages=(stage,))
    assert upgrade.waves(plan, DESIRED, SPEC) == ()
    assert upgrade.ordered(plan, ()) == plan
