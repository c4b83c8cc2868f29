"""A cluster below somebody else's root: every certificate signed elsewhere or by an intermediate, no CA key at hand, the directory sealed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from kbootstrap import lab as labs
from kbootstrap.catalog import names
from kbootstrap.engine import certs_check, elsewhere, run
from kbootstrap.errors import PkiError
from kbootstrap.pki import inspect, issue
from kbootstrap.store import pki_dir, vault
from kbootstrap.store.folder import Folder
from kbootstrap.store.passphrase import SOURCE
from tests.openssl_ca import OpensslCa, made, openssl

pytestmark = pytest.mark.lab


def _answer(folder: Folder, ca: OpensslCa, requests: dict[str, bytes]) -> None:
    """*requests* go to the CA as files, its certificates come back as files."""
    out = ca.folder / "out"
    signed = {}
    for path in elsewhere.write(out, requests):
        days = 1 if path.stem == issue.BOOTSTRAP.id else 90
        signed[path.name] = ca.sign(path, path.with_suffix(".crt"), days=days).read_bytes()
    elsewhere.install(folder, signed)
    shutil.rmtree(out)


@pytest.mark.long(seconds=60)
def test_a_cluster_below_another_root_needs_no_ca_key(
    claim: Callable[[str], AbstractContextManager[str]], of_lab: Callable[[labs.Lab], Any], lab_machine: None, tmp_path: Path
) -> None:
    corporate = made(tmp_path / "corporate", "corporate")
    with claim("kbextc") as name:
        lab = labs.up(name=name, masters=1, workers=1, inventory=tmp_path / name)
        cluster = of_lab(lab)
        folder: Folder = cluster.folder
        elsewhere.give(folder, names.CLUSTER_CA, corporate.chain.read_bytes(), b"")
        with pytest.raises(PkiError, match="cannot be issued: the key of the CA ca"):
            cluster.up()
        requests = dict(elsewhere.for_leaves(folder))
        first = {issue.BOOTSTRAP.id: requests.pop(issue.BOOTSTRAP.id)}
        _answer(folder, corporate, requests)
        with pytest.raises(PkiError, match="the first bindings need a credential of the cluster CA") as caught:
            cluster.up()  # what etcd's own CA must sign was issued, and no host was touched
        assert "invoke certs.csr --name bootstrap-admin" in caught.value.hint
        assert not pki_dir.load(folder.pki).ca(names.CLUSTER_CA).key_pem
        for key in (folder.pki / "ca").glob("*.key*"):
            key.rename(tmp_path / key.name)
        _answer(folder, corporate, first)
        cluster.up()
        _judge(cluster, corporate, folder)
        token = SOURCE.set(lambda what: b"correct horse battery")
        try:
            vault.seal_all(folder.pki)
            assert cluster.up().picture.plan.empty
            outcome = run.verify(cluster.request())
        finally:
            SOURCE.reset(token)
        assert outcome.picture.plan.empty
        assert all(result.ok for result in outcome.results), outcome.results


def _judge(cluster: Any, corporate: OpensslCa, folder: Folder) -> None:
    """What really runs: chains are served, clients with the root alone accept them, the credential of the first bindings is gone."""
    pki = pki_dir.load(folder.pki)
    assert issue.BOOTSTRAP.id not in pki.pairs
    assert pki.trust(names.CLUSTER_CA) == corporate.root.read_bytes()
    assert len(inspect.blocks(pki.pair("admin").cert_pem)) == 2
    assert len(cluster.kubectl("get", "nodes", "--no-headers").splitlines()) == 2
    checked = certs_check.check(cluster.request())
    assert checked.exit_code == 0, checked.lines(every=True)
    address = f"{cluster.lab.hosts[0].address}:6443"
    seen = openssl("s_client", "-connect", address, "-CAfile", corporate.root, "-verify_return_error", "-showcerts")
    assert seen.count("BEGIN CERTIFICATE") == 2, seen
    assert "Verify return code: 0 (ok)" in seen
