"""``certs.plan``, ``ensure``, ``show``, ``export``, ``check`` as the user runs them: a folder with cluster.yml, and hosts that do not answer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.model.pki import Pki
from kbootstrap.pki.profiles import CAS
from kbootstrap.store import pki_dir
from kbootstrap.tasks import certs as tasks

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
ssh: {user: root}
hosts:
  masters: {m1: {address: 192.0.2.11, ssh: {host: 127.0.0.1, port: 1}}}
  workers: {w1: {address: 192.0.2.21, ssh: {host: 127.0.0.1, port: 2}}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "inventory" / "lab"
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text(CLUSTER)
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    def lines() -> list[str]:
        return capsys.readouterr().out.splitlines()

    return lines


def ends(code: int, run: Callable[..., object], **options: object) -> None:
    with pytest.raises(Exit) as caught:
        run(Context(), **options)
    assert caught.value.code == code


def test_a_new_cluster_is_planned_issued_once_and_then_left_alone(lab: Path, said: Callable[[], list[str]]) -> None:
    ends(10, tasks.plan)
    planned = said()
    assert planned[0].split()[:5] == ["+", "ca", "the", "cluster", "is"]
    assert planned[-1] == "23 to issue: 23 +"
    assert not (lab / "pki").exists()
    tasks.ensure(Context())
    assert said()[-1].startswith("22 issued into inventory/lab/pki. No host has them yet")
    before = {path: path.read_bytes() for path in (lab / "pki").rglob("*") if path.is_file()}
    tasks.plan(Context())
    tasks.ensure(Context())
    assert said() == ["0 to issue", "0 issued: what inventory/lab/pki holds serves."]
    assert {path: path.read_bytes() for path in (lab / "pki").rglob("*") if path.is_file()} == before
    assert {path.stat().st_mode & 0o077 for path in (lab / "pki").rglob("*")} == {0}


def test_what_is_missing_or_wrong_is_planned_with_its_reason_and_units_and_only_that_is_issued(lab: Path, said: Callable[[], list[str]]) -> None:
    tasks.ensure(Context())
    before = pki_dir.load(lab / "pki")
    (lab / "pki/hosts/w1/kubelet-server.pem").unlink()
    (lab / "cluster.yml").write_text(CLUSTER + "certificates: {extra_sans: [api.example]}\n")
    said()
    ends(10, tasks.plan)
    assert [" ".join(line.split()) for line in said()] == [
        "~ m1/apiserver its DNS names lack api.example kube-apiserver.service",
        "+ w1/kubelet-server there is none yet kubelet.service",
        "2 to issue: 1 +, 1 ~",
    ]
    ends(10, tasks.plan, json=True)
    assert [row["id"] for row in json.loads("\n".join(said()))["due"]] == ["m1/apiserver", "w1/kubelet-server"]
    tasks.ensure(Context(), name="kubelet-server")
    after = pki_dir.load(lab / "pki")
    assert _changed(before, after) == {"w1/kubelet-server"}
    ledger = [json.loads(line) for line in (lab / "pki/ledger.jsonl").read_text().splitlines()]
    assert (ledger[-1]["id"], ledger[-1]["reason"]) == ("w1/kubelet-server", "there is none yet")


def _changed(before: Pki, after: Pki) -> set[str]:
    assert before.cas == after.cas
    return {i for i in {*before.pairs, *after.pairs} if before.pairs.get(i) != after.pairs.get(i)}


def test_a_ca_is_never_made_beside_existing_material(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.ensure(Context())
    (lab / "pki/ca/etcd-ca.crt").unlink()
    (lab / "pki/hosts/m1/etcd-peer.pem").unlink()
    ends(6, tasks.ensure)
    assert "etcd-ca.crt" in capsys.readouterr().err
    assert not (lab / "pki/ca/etcd-ca.crt").exists()


def test_the_tree_shows_every_certificate_below_its_ca(lab: Path, said: Callable[[], list[str]]) -> None:
    tasks.ensure(Context())
    said()
    tasks.show(Context())
    shown = said()
    assert [line.split()[0] for line in shown if line.split()[0] in CAS] == list(CAS)
    assert not any("\x1b" in line for line in shown), "colour is for terminals"
    tasks.show(Context(), json=True)
    rows = {row["id"]: row for row in json.loads("\n".join(said()))["cas"]}
    leaves = {leaf["id"]: leaf for row in rows.values() for leaf in row["signed"]}
    assert set(leaves) == set(pki_dir.load(lab / "pki").pairs)
    assert leaves["m1/etcd-peer"]["usages"] == ["server", "client"]
    assert leaves["m1/etcd-peer"]["units"] == ["etcd.service"]
    assert leaves["m1/apiserver"]["names"][-1] == "192.0.2.11"
    assert rows["ca"]["key"] == "here"
    tasks.show(Context(), name="admin")
    assert [line.split()[1] for line in said() if line.startswith("└─")] == ["admin"]


def test_an_export_is_the_owners_alone_and_replaces_nothing_unasked(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.ensure(Context())
    phrase = tmp_path / "phrase"
    phrase.write_text("long enough\n")
    phrase.chmod(0o644)
    ends(6, tasks.export, name="admin", to="a.p12", passphrase_file=str(phrase))
    assert "chmod 600" in capsys.readouterr().err
    phrase.chmod(0o600)
    tasks.export(Context(), name="admin", to="a.p12", passphrase_file=str(phrase))
    first = Path("a.p12").read_bytes()
    assert Path("a.p12").stat().st_mode & 0o777 == 0o600
    ends(2, tasks.export, name="admin", to="a.p12", passphrase_file=str(phrase))
    assert Path("a.p12").read_bytes() == first
    tasks.export(Context(), name="admin", to="a.p12", format="pem", force=True)
    assert Path("a.p12").read_bytes().count(b"BEGIN CERTIFICATE") == 2
    tasks.export(Context(), name="ca", to="ca.pem", format="pem")
    assert b"PRIVATE" not in Path("ca.pem").read_bytes(), "a CA's key is no export"
    for wrong in ({"name": "nobody", "to": "x"}, {"name": "admin", "to": "no/folder/x"}, {"name": "admin", "to": "."}, {"name": "ca", "to": "x"}, {}):
        ends(2, tasks.export, passphrase_file=str(phrase), **wrong)
    assert not Path("x").exists()


def test_a_passphrase_comes_by_a_descriptor(lab: Path) -> None:
    tasks.ensure(Context())
    reader, writer = os.pipe()
    os.write(writer, b"long enough\n")
    os.close(writer)
    tasks.export(Context(), name="admin", to="a.p12", passphrase_fd=reader)
    assert Path("a.p12").read_bytes()


def test_hosts_that_do_not_answer_leave_the_operators_own_rows(lab: Path, said: Callable[[], list[str]]) -> None:
    ends(6, tasks.check)
    tasks.ensure(Context())
    (lab / "known_hosts").write_text("")
    said()
    ends(3, tasks.check)
    shown = said()
    assert [line.split()[1] for line in shown[:-1]] == ["m1", "w1"]
    assert "2 unreachable" in shown[-1]
    shutil.rmtree(lab / "pki/hosts/m1")
    ends(11, tasks.check, json=True)
    found = json.loads("\n".join(said()))
    assert found["states"]["not-issued"] == 14
    assert found["states"]["unreachable"] == 2
    ends(3, tasks.check, limit="w1")
    ends(2, tasks.check, limit="w9")
