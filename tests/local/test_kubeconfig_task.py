"""``kubeconfig.admin`` as the user runs it: a folder with cluster.yml and pki, no host anywhere."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory, kubeconfig
from kbootstrap.catalog import names
from kbootstrap.errors import ConnectError
from kbootstrap.model.pki import Pki
from kbootstrap.pki import inspect, issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.tasks import kubeconfig as tasks

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
hosts: {masters: {m1: {address: 192.0.2.11}, m2: {address: 192.0.2.12}, m3: {address: 192.0.2.13}}, workers: {w1: {address: 192.0.2.21}}}
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``inventory/lab`` in an empty working directory, with a complete PKI."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "inventory" / "lab"
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text(CLUSTER)
    spec = inventory.load(folder / "cluster.yml")
    pki, issued = issue.complete(Pki(), profiles(spec), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(folder / "pki", pki, issued)
    return folder


def test_it_is_written_anew_without_a_host(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.admin(Context(), master="m2")
    access = kubeconfig.read((lab / "admin.conf").read_text())
    assert (access.context, access.server) == ("kubernetes-admin@lab-m2", "https://192.0.2.12:6443")
    assert access.pair == pki_dir.load(lab / "pki").pair("admin")
    tasks.admin(Context())
    assert capsys.readouterr().out == "inventory/lab/admin.conf written\ninventory/lab/admin.conf is up to date\n"


def test_a_lost_certificate_is_issued_and_others_are_left(lab: Path) -> None:
    before = pki_dir.load(lab / "pki")
    (lab / "pki/users/admin.pem").unlink()
    (lab / "pki/hosts/m1/apiserver.pem").unlink()
    tasks.admin(Context())
    after = pki_dir.load(lab / "pki")
    assert after.pair("admin") != before.pair("admin")
    assert "m1/apiserver" not in after.pairs


@pytest.mark.parametrize(
    ("harm", "master", "code", "message"),
    [
        ("", "m9", 2, "inventory/lab/cluster.yml has no master m9\n  It has m1, m2, m3."),
        ("pki", "", 6, "inventory/lab/pki holds no certificates yet"),
        ("pki/ca/ca.crt", "", 6, "inventory/lab/pki/ca/ca.crt is missing."),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(
    *, lab: Path, harm: str, master: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if harm == "pki":
        shutil.rmtree(lab / harm)
    elif harm:
        (lab / harm).unlink()
    with pytest.raises(Exit) as caught:
        tasks.admin(Context(), master=master)
    assert caught.value.code == code
    assert message in capsys.readouterr().err
    assert not (lab / "admin.conf").exists()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """~/.kube/config, with somebody else's context in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    path = tmp_path / ".kube" / "config"
    path.parent.mkdir()
    path.write_text("# mine\ncontexts: [{name: theirs, context: {cluster: c, user: u}}]\ncurrent-context: theirs\n")
    return path


def test_merged_used_and_removed_again(lab: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.merge(Context())
    assert capsys.readouterr().out == (
        f"{home} written; until now: {home}.previous\n"
        "The current context is theirs. This cluster's: kubectl config use-context kubernetes-admin@lab-m1\n"
    )
    tasks.merge(Context(), use=True)
    assert kubeconfig.read(home.read_text()).server == "https://192.0.2.11:6443"
    tasks.remove(Context())
    assert "The current context was kubernetes-admin@lab-m1; now there is none." in capsys.readouterr().out
    assert kubeconfig.parse(home.read_text())["contexts"] == [{"name": "theirs", "context": {"cluster": "c", "user": "u"}}]
    tasks.remove(Context())
    assert capsys.readouterr().out == f"{home}: nothing of this cluster there\n"


def test_a_foreign_entry_is_replaced_only_by_force(lab: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("clusters: [{name: lab-m1, cluster: {server: 'https://else:1'}}]\n")
    with pytest.raises(Exit) as caught:
        tasks.merge(Context())
    assert caught.value.code == 2
    assert "the cluster 'lab-m1', which is not ours" in capsys.readouterr().err
    tasks.merge(Context(), force=True)
    assert kubeconfig.read(home.read_text()).server == "https://192.0.2.11:6443"


def test_removing_needs_only_the_clusters_id(lab: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "state.yml").write_text("cluster_id: the-id\n")
    tasks.merge(Context(), file=str(home.with_name("other")))
    (lab / "pki/ca/ca.crt").unlink()
    tasks.remove(Context(), file=str(home.with_name("other")))
    assert "7 entries removed" in capsys.readouterr().out
    (lab / "state.yml").unlink()
    with pytest.raises(Exit):
        tasks.remove(Context())
    assert "no entry can be known as this cluster's" in capsys.readouterr().err


def test_a_persons_file_is_signed_offline_recorded_and_closed(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.user(Context(), name="alice", group="devs,ops", ttl="36h", namespace="team-a", server="m2")
    path = lab / "users/alice.conf"
    access = kubeconfig.read(path.read_text())
    found = inspect.describe(access.pair.cert_pem)
    assert (access.context, access.server, access.namespace) == ("alice@lab", "https://192.0.2.12:6443", "team-a")
    assert (found.common_name, found.organizations, found.usages) == ("alice", frozenset({"devs", "ops"}), frozenset({"client"}))
    assert abs(found.not_after - clock.now() - timedelta(hours=36)) < timedelta(minutes=1)
    assert [p.stat().st_mode & 0o777 for p in (path.parent, path)] == [0o700, 0o600]
    entry = pki_dir.ledger(lab / "pki")[-1]
    assert (entry.id, entry.subject, entry.groups, entry.serial) == ("user:alice", "alice", ("devs", "ops"), found.serial)
    assert "inventory/lab/users/alice.conf written: alice until " in capsys.readouterr().out
    tasks.user(Context(), name="alice")  # ours alone: renewed
    assert not path.with_name("alice.conf.previous").exists(), "no former key lies around"


@pytest.mark.parametrize("content", ["", "apiVersion: v1\n", "not a kubeconfig", "a: [", "users: [{name: theirs, user: {}}]\n"])
def test_a_file_that_is_not_ours_stays_unless_forced(lab: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = lab.parent / "file"
    path.write_text(content)
    signed = len(pki_dir.ledger(lab / "pki"))
    with pytest.raises(Exit) as caught:
        tasks.user(Context(), name="alice", to=str(path))
    assert (caught.value.code, path.read_text(), len(pki_dir.ledger(lab / "pki"))) == (2, content, signed)
    assert "is no kubeconfig of this cluster alone" in capsys.readouterr().err
    tasks.user(Context(), name="alice", to=str(path), force=True)
    assert kubeconfig.read(path.read_text()).context == "alice@lab-m1"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--name: for whom?"),
        ({"name": "alice", "group": "system:masters"}, "system:masters belongs to the cluster itself"),
        ({"name": "alice", "ttl": "100000d"}, "before the certificate"),
        ({"name": "alice", "server": "https://192.0.2.99:6443"}, "192.0.2.99 is not in the API servers' certificates"),
    ],
)
def test_what_nobody_may_have_is_refused_and_nothing_is_signed(
    *, lab: Path, options: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = len(pki_dir.ledger(lab / "pki"))
    with pytest.raises(Exit) as caught:
        tasks.user(Context(), **options)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert len(pki_dir.ledger(lab / "pki")) == signed
    assert not (lab / "users").exists()


def test_every_file_of_the_cluster_is_written_as_the_hosts_get_it(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.write(Context(), all=True)
    spec, pki, folder = inventory.load(lab / "cluster.yml"), pki_dir.load(lab / "pki"), lab / "kubeconfigs"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.conf")}
    master = {"admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf", "kube-proxy.conf"}
    assert found == {"admin.conf", "w1/kubelet.conf", "w1/kube-proxy.conf", *(f"{m}/{name}" for m in ("m1", "m2", "m3") for name in master)}
    for host, component, pair in (("m2", "scheduler", "m2/scheduler-client"), ("w1", "kubelet", "w1/kubelet-client"), ("m1", "admin", "admin")):
        text = kubeconfig.for_host(spec, spec.host(host), component, ca_pem=pki.trust(names.CLUSTER_CA), pair=pki.pair(pair))
        assert (folder / host / f"{component}.conf").read_text() == text
    assert (folder / "admin.conf").read_bytes() == (lab / "admin.conf").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.conf")} == {0o600}
    capsys.readouterr()
    tasks.write(Context(), limit="w1")
    assert capsys.readouterr().out.count("is up to date") == 3
    with pytest.raises(Exit):
        tasks.write(Context())


def test_a_file_that_is_not_there_is_no_success(lab: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        tasks.remove(Context(), file="nowhere.conf")
    assert caught.value.code == 2
    assert "there is no nowhere.conf" in capsys.readouterr().err
    with pytest.raises(Exit) as caught:
        tasks.write(Context(), all=True, to="nowhere")
    assert caught.value.code == 2
    assert "there is no folder nowhere; nothing was written\n  Make it, and run the same command again: mkdir -p nowhere" in capsys.readouterr().err


def test_what_is_checked_is_what_kubectl_reads_and_is_named(
    lab: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kbootstrap.remote.api.served", _nobody)
    tasks.merge(Context(), file="mine.conf")
    capsys.readouterr()
    for environment, shown in (("", "inventory/lab/admin.conf:"), (f"{home}:mine.conf", "mine.conf:")):
        monkeypatch.setenv("KUBECONFIG", environment)
        with pytest.raises(Exit) as caught:
            tasks.check(Context())
        assert caught.value.code == 3
        assert capsys.readouterr().out.splitlines()[0] == shown
    monkeypatch.setenv("KUBECONFIG", str(home))
    with pytest.raises(Exit) as caught:
        tasks.check(Context())
    assert caught.value.code == 2
    assert f"{home} has no context of this cluster" in capsys.readouterr().err


def _nobody(server: str) -> bytes:
    raise ConnectError(f"{server}: no answer")
