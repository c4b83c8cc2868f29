"""The whole plan: the order of stages, gates only behind services, what ``--only`` and ``--limit`` leave, and the API last."""

from __future__ import annotations

from typing import Any

from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import CLUSTER, Gate, Plan
from kbootstrap.model.resource import File, Manifest, Resource, Service
from kbootstrap.plan.build import plan
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import STAGES

CONFIG = File(name="/etc/x", content=b"wanted\n")
ETCD = Service(name="etcd.service", inputs={})
GATE = Gate(name="healthy", text="true")
OBJECT = Manifest(name="ConfigMap/c", document={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}})


def stages(**resources: tuple[Resource, ...]) -> dict[str, Wanted]:
    return {stage.name: Wanted(resources=resources.get(stage.name, ()), gates=(GATE,) if stage.name in resources else ()) for stage in STAGES}


def desired(*hosts: str) -> Desired:
    return Desired(hosts={name: stages(HOSTS=(CONFIG,), ETCD=(ETCD,)) for name in hosts}, cluster=(OBJECT,))


def built(wanted: Desired, *names: str, live: Any = None, ledgers: dict[str, Ledger] | None = None, **more: Any) -> Plan:
    observed = {name: Observed(host=name, facts=Facts()) for name in names}
    return plan(wanted, observed, {name: Ledger() for name in names} | (ledgers or {}), live, **more)


def ids(found: Plan) -> list[str]:
    return [change.id for change in found.changes()]


def test_stages_in_their_order_hosts_in_theirs_and_the_api_last() -> None:
    found = built(desired("m1", "m2"), "m1", "m2")
    assert [stage.name for stage in found.stages] == ["HOSTS", "ETCD", STAGES[-1].name]
    assert ids(found) == ["m1:/etc/x", "m2:/etc/x", "m1:service/etcd.service", "m2:service/etcd.service", f"{CLUSTER}:manifest/ConfigMap/c"]
    assert not found.empty


def test_gates_wait_behind_services_only() -> None:
    found = built(desired("m1"), "m1")
    assert {stage.name: stage.hosts[0].gates for stage in found.stages} == {"HOSTS": (), "ETCD": (GATE,), STAGES[-1].name: ()}


def test_only_keeps_by_id_and_by_key() -> None:
    wanted = desired("m1", "m2")
    assert ids(built(wanted, "m1", "m2", only=("m2:/etc/x",))) == ["m2:/etc/x"]
    assert ids(built(wanted, "m1", "m2", only=("/etc/x",))) == ["m1:/etc/x", "m2:/etc/x"]
    assert ids(built(wanted, "m1", "m2", only=(f"{CLUSTER}:{OBJECT.key}",))) == [f"{CLUSTER}:{OBJECT.key}"]
    assert built(wanted, "m1", "m2", only=("/etc",)).empty


def test_a_gate_goes_with_its_service() -> None:
    found = built(desired("m1"), "m1", only=("service/etcd.service",))
    assert [host.gates for stage in found.stages for host in stage.hosts] == [(GATE,)]


def test_limit_leaves_the_objects_of_the_api_alone() -> None:
    assert ids(built(desired("m1", "m2"), "m2", limited=True)) == ["m2:/etc/x", "m2:service/etcd.service"]


def test_an_object_that_is_as_wanted_is_no_change() -> None:
    live = {"kind": "List", "items": [OBJECT.document]}
    assert built(Desired(hosts={"m1": stages()}, cluster=(OBJECT,)), "m1", live=live).empty


def test_no_api_is_not_an_empty_api_but_everything_is_to_be_made() -> None:
    wanted = Desired(hosts={"m1": stages()}, cluster=(OBJECT,))
    told = [[(c.id, c.reason) for c in built(wanted, "m1", live=live).changes()] for live in (None, {"kind": "List", "items": []})]
    assert told == [[(f"{CLUSTER}:{OBJECT.key}", reason)] for reason in ("no API answers yet", "no such object")]


def test_an_endpoint_leaves_when_all_that_used_it_have_moved() -> None:
    entries = {"/etc/endpoint.cfg": {"kind": "file", "before": None}, "service/kb-endpoint.service": {"kind": "service", "before": None}}
    ledger = Ledger(cluster_id="c", entries=entries)
    kubelet = Service(name="kubelet.service", inputs={})
    found = built(Desired(hosts={"m1": stages(HOSTS=(CONFIG,), WORKERS=(kubelet,))}), "m1", ledgers={"m1": ledger})
    assert [(stage.name, [change.key for change in stage.hosts[0].changes]) for stage in found.stages] == [
        ("HOSTS", ["/etc/x"]),
        ("WORKERS", ["service/kubelet.service"]),
        ("NETWORK", ["service/kb-endpoint.service", "/etc/endpoint.cfg"]),
    ]


def test_what_a_role_declares_no_more_goes_in_the_first_stage() -> None:
    ledger = Ledger(cluster_id="c", entries={"/etc/old": {"kind": "file", "before": None}})
    found = built(Desired(hosts={"m1": stages()}), "m1", ledgers={"m1": ledger})
    assert [(stage.name, [c.id for c in stage.hosts[0].changes]) for stage in found.stages] == [("HOSTS", ["m1:/etc/old"])]
