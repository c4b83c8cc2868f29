"""admin.conf on a real disk, and as the real kubectl reads it."""

from __future__ import annotations

import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap import kubeconfig
from kbootstrap.catalog import names
from kbootstrap.pki import inspect
from kbootstrap.store import operator_kubeconfig, state
from kbootstrap.store.folder import Folder
from kbootstrap.testing.builders import a_cluster, a_pki


def _current(path: Path) -> str:
    return kubeconfig.read(path.read_text()).context


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.conf"


def test_it_is_closed_to_others_and_written_once(path: Path) -> None:
    assert operator_kubeconfig.write(path, a_cluster(), a_pki(), current="m2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not operator_kubeconfig.write(path, a_cluster(), a_pki())
    path.chmod(0o644)
    assert operator_kubeconfig.write(path, a_cluster(), a_pki())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_selected_master_stays_selected(path: Path) -> None:
    operator_kubeconfig.write(path, a_cluster(), a_pki(), current="m3")
    operator_kubeconfig.write(path, a_cluster(3, 1), a_pki(3, 1))
    assert _current(path) == "kubernetes-admin@lab-m3"
    operator_kubeconfig.write(path, a_cluster(1, 0), a_pki(1, 0))
    assert _current(path) == "kubernetes-admin@lab-m1"


@pytest.mark.parametrize("damage", [b"", b"a: [", b"\xff\xfe", b"current-context: 5"])
def test_a_damaged_one_is_written_anew_and_kept(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    operator_kubeconfig.write(path, a_cluster(), a_pki())
    assert _current(path) == "kubernetes-admin@lab-m1"
    assert path.with_name("admin.conf.previous").read_bytes() == damage


def test_an_entry_is_known_as_ours_by_the_clusters_id_and_by_every_ca_that_it_ever_had(path: Path) -> None:
    folder, pki, old, older = Folder(root=path.parent), a_pki(), a_pki(1, 0).ca(names.ETCD_CA).cert_pem, a_pki(1, 0).ca(names.FRONT_PROXY_CA).cert_pem
    before = operator_kubeconfig.owner(folder, pki)
    assert before == inspect.fingerprint(pki.ca(names.CLUSTER_CA).cert_pem)
    state.save(folder.state, state.State(cluster_id="the-id"))
    assert operator_kubeconfig.owner(folder, pki) == "the-id"
    rotated = replace(pki, former={names.CLUSTER_CA: old}, retired={names.CLUSTER_CA: older + old})
    found = operator_kubeconfig.owners(folder, rotated)
    assert found == {"the-id", before, inspect.fingerprint(old), inspect.fingerprint(older)}
    assert operator_kubeconfig.write(path, a_cluster(), pki)
    assert {kubeconfig.owner_of(e["cluster"]) for e in kubeconfig.parse(path.read_text())["clusters"]} == {"the-id"}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which only a user's machine must have")
def test_kubectl_keeps_the_mark_by_which_a_merge_knows_our_entries(path: Path) -> None:
    operator_kubeconfig.write(path, a_cluster(), a_pki())
    kubectl = ["kubectl", "--kubeconfig", str(path), "config"]
    subprocess.run([*kubectl, "set-context", "theirs", "--cluster=c", "--user=u"], check=True, capture_output=True)
    subprocess.run([*kubectl, "use-context", "kubernetes-admin@lab-m2"], check=True, capture_output=True)
    owner = kubeconfig.parse(path.read_text())["clusters"][0]["cluster"]["extensions"][0]["extension"]["owner"]
    renewed = kubeconfig.admin(a_cluster(3, 1), a_pki(3, 1), owner=owner)  # another PKI, the same owner
    path.write_text(kubeconfig.merge(path.read_text(), renewed))
    shown = subprocess.run([*kubectl, "get-contexts", "-o", "name"], check=True, capture_output=True, text=True).stdout.split()
    assert shown == ["kubernetes-admin@lab-m1", "kubernetes-admin@lab-m2", "kubernetes-admin@lab-m3", "theirs"]
    assert _current(path) == "kubernetes-admin@lab-m2"
