from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import File, Service
from kbootstrap.plan import order

CERT = f"{paths.ETCD_PKI}/server.crt"


def a_file(host: str, path: str, action: Action = Action.UPDATE) -> Change:
    return Change(host=host, key=path, action=action, reason="another content", commands="", resource=File(name=path, content=b"x"))


def a_restart(host: str, reason: str) -> Change:
    service = Service(name="etcd.service", inputs={}, serial=True)
    return Change(host=host, key=order.ETCD, action=Action.RUN, reason=reason, commands="restart\n", resource=service, disruptive=True)


def a_stage(*changes: Change) -> Stage:
    hosts = dict.fromkeys(change.host for change in changes)
    return Stage(name="ETCD", hosts=tuple(HostPlan(host=host, changes=tuple(c for c in changes if c.host == host)) for host in hosts))


def test_certificates_lie_everywhere_before_anything_restarts() -> None:
    both = [change for host in ("m1", "m2") for change in (a_file(host, CERT), a_restart(host, f"restart: new {CERT}"))]
    first, second = order.files_first([a_stage(*both)])
    assert (first.name, [host.host for host in first.hosts]) == (order.CERTIFICATES, ["m1", "m2"])
    assert not any(host.serial for host in first.hosts)
    assert [host.serial for host in second.hosts] == [True, True]
    changes = list(Plan(stages=(first, second)).changes())
    assert sorted(change.id for change in changes) == sorted(change.id for change in both), "nothing is lost"


def test_a_file_that_is_not_there_yet_waits_for_its_folder() -> None:
    stage = a_stage(a_file("m1", CERT, Action.CREATE), a_restart("m1", f"restart: new {CERT}"))
    assert order.files_first([stage]) == (stage,)


def test_other_files_keep_their_stage() -> None:
    stage = a_stage(a_file("m1", paths.ENDPOINT_CONFIG), a_restart("m1", f"restart: new {paths.ENDPOINT_CONFIG}"))
    assert order.files_first([stage]) == (stage,)


@pytest.mark.parametrize("more", [f"; started with another {CERT}", f", {paths.ENDPOINT_CONFIG}"])
def test_a_restart_with_other_reasons_happens_in_any_case(more: str) -> None:
    restart = a_restart("m1", f"restart: new {CERT}{more}")
    assert order.files_first([a_stage(a_file("m1", CERT), restart)])[1].hosts[0].changes == (restart,)


def test_what_was_started_with_the_new_files_is_not_started_again(tmp_path: Path) -> None:
    (restart,) = order.files_first([a_stage(a_file("m1", CERT), a_restart("m1", f"restart: new {CERT}"))])[1].hosts[0].changes
    (tmp_path / "cert").write_text("new")
    (tmp_path / "record").write_text(f"{'0' * 64}  {tmp_path}/cert\n1 2 3 4 /usr/local/bin/etcd\n")
    text = restart.commands.replace(paths.started("etcd.service"), str(tmp_path / "record"))
    text = f"set -e\nsystemctl() {{ :; }}\nrestart() {{ echo restarted; }}\n{text}"

    def ran() -> str:
        return subprocess.run(["/bin/sh"], input=text, text=True, capture_output=True, check=True).stdout

    assert ran() == "restarted\n"
    digest = subprocess.run(["/usr/bin/sha256sum", tmp_path / "cert"], text=True, capture_output=True, check=True).stdout
    (tmp_path / "record").write_text(f"{digest}1 2 3 4 /usr/local/bin/etcd\n")
    assert ran() == ""
    (tmp_path / "record").unlink()
    assert ran() == "restarted\n"


def test_without_a_quorum_nobody_waits() -> None:
    stage = a_stage(a_restart("m1", "restart: x"), a_restart("m2", "restart: x"))
    assert order.needs_quorum([stage])
    assert not any(host.serial for host in order.together([stage])[0].hosts)
    assert not order.needs_quorum(order.together([stage]))
    assert not order.needs_quorum([replace(stage, hosts=stage.hosts[:1])]), "one member alone has nobody to wait for"
