"""An endpoint that leads elsewhere cuts nobody off, and whose kubeconfig does not follow is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from kbootstrap import kubeconfig
from kbootstrap.catalog import paths
from kbootstrap.engine import endpoint
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import PreflightError
from kbootstrap.model.cluster import ClusterSpec, Endpoint, EndpointKind
from kbootstrap.model.events import Event, Note
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.remote.pool import Pool
from kbootstrap.store.folder import Folder
from kbootstrap.testing.builders import a_cluster, a_pki
from kbootstrap.testing.fake_host import FakeHost

SPEC = a_cluster(1, 1)
PKI = a_pki()
EXTERNAL = replace(SPEC, endpoint=Endpoint(kind=EndpointKind.EXTERNAL, address="10.0.0.5", port=7443))


def a_plan(action: Action) -> Plan:
    changes = [Change(host=h.name, key=paths.kubeconfig("kubelet"), action=action, reason="", commands="") for h in SPEC.hosts]
    return Plan(stages=(Stage(name="WORKERS", hosts=tuple(HostPlan(host=c.host, changes=(c,)) for c in changes)),))


def known(spec: ClusterSpec, root: Path = Path()) -> Prepared:
    return cast(Prepared, type("Known", (), {"spec": spec, "pki": PKI, "folder": Folder(root=root)})())


def asked(spec: ClusterSpec, action: Action = Action.UPDATE) -> None:
    listening = {("10.0.0.5", 7443): b"SSH-2.0-somebody\r\n"}
    pool = Pool(spec.hosts, lambda host: FakeHost(host=host.name, listening=listening if host.name == "m1" else {}))
    endpoint.require(known(spec), pool, a_plan(action))


def test_every_host_that_would_be_cut_off_is_told_with_its_reason() -> None:
    with pytest.raises(PreflightError, match=r"10\.0\.0\.5:7443 does not lead to this cluster; nothing was changed") as refused:
        asked(EXTERNAL)
    assert {problem.where for problem in refused.value.problems} == {"m1", "w1"}
    assert "connection refused" in str(refused.value.problems[1])
    assert "10.77.0.11:6443" in refused.value.hint


@pytest.mark.parametrize(("spec", "action"), [(SPEC, Action.UPDATE), (EXTERNAL, Action.CREATE)], ids=["on each host", "a cluster that begins"])
def test_who_is_not_led_there_is_not_asked(spec: ClusterSpec, action: Action) -> None:
    asked(spec, action)


def test_people_whose_kubeconfig_stays_behind_are_named(tmp_path: Path) -> None:
    folder, said = tmp_path / "users", list[Event]()
    folder.mkdir()
    for name, url in (("alice", "https://10.77.0.11:6443"), ("bob", "https://10.0.0.5:7443")):
        text = kubeconfig.build("lab", {"lab": url}, ca_pem=b"x", user=name, token="t")  # noqa: S106  no secret
        (folder / f"{name}.conf").write_text(text)
    (folder / "torn.conf").write_text("clusters: [")
    endpoint.tell(said.append, known(EXTERNAL, tmp_path), a_plan(Action.UPDATE))
    (note,) = said
    assert isinstance(note, Note)
    assert "alice" in note.text
    assert "kubeconfig.user --name alice" in note.text
    endpoint.tell(said.append, known(EXTERNAL, tmp_path), a_plan(Action.CREATE))
    assert len(said) == 1
