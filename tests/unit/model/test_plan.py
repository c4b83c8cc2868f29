"""Plans, desired state and Pki values: what they say of themselves, and what they never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import Binary, Blob, Directory, File, Service, Sysctl
from kbootstrap.testing.builders import a_pki

BLOB = Blob(sha256="a" * 64, size=1, path=Path("x"))


def change(**more: object) -> Change:
    return Change(**{"host": "m1", "key": "/a", "action": Action.CREATE, "reason": "x", "commands": "", **more})  # type: ignore[arg-type]


def test_an_id_is_host_and_path_or_host_and_kind_and_name() -> None:
    assert File(name="/etc/x", content=b"").key == "/etc/x"
    assert Sysctl(name="net.ipv4.ip_forward", value="1").key == "sysctl/net.ipv4.ip_forward"
    assert change(key="/etc/x").id == "m1:/etc/x"


def test_a_host_goes_alone_if_one_of_its_changes_is_disruptive() -> None:
    assert not HostPlan(host="m1", changes=(change(), change())).serial
    assert HostPlan(host="m1", changes=(change(), change(disruptive=True))).serial


def test_a_plan_of_empty_stages_is_empty() -> None:
    assert Plan(stages=(Stage(name="HOSTS", hosts=(HostPlan(host="m1", changes=()),)),)).empty
    assert not Plan(stages=(Stage(name="HOSTS", hosts=(HostPlan(host="m1", changes=(change(),)),)),)).empty


def test_desired_names_every_resource_once_and_every_blob_once() -> None:
    both = (Binary(name="/bin/etcd", blob=BLOB), Binary(name="/bin/kb-endpoint", blob=BLOB), Directory(name="/d"))
    desired = Desired(hosts={"m1": {"ETCD": Wanted(resources=both), "ENDPOINT": Wanted(resources=(*both[:1], Service(name="x", inputs={})))}})
    assert desired.names("m1") == {"binary": ("/bin/etcd", "/bin/kb-endpoint"), "directory": ("/d",), "service": ("x",)}
    assert desired.blobs("m1") == {BLOB.sha256: BLOB}


def test_neither_content_nor_payload_nor_keys_are_in_a_repr() -> None:
    secret = File(name="/etc/x", content=b"correct horse", secret=True)
    said = "correct horse"
    shown = repr(secret) + repr(change(payload=said.encode(), commands=said, before=said, after=said, resource=secret))
    pki = a_pki(1, 0)
    shown += repr(pki)
    assert "correct horse" not in shown
    assert "PRIVATE KEY" not in shown
    assert repr(pki.sealing.readers[0].secret) not in shown


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        change().reason = "another"  # type: ignore[misc]
