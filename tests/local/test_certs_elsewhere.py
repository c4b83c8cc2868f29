"""``certs.csr`` and ``certs.install`` with the real openssl as the CA elsewhere: what it signs is taken, what is amiss is refused by name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.model.pki import Usage
from kbootstrap.pki import inspect, issue, layout
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import pki_dir
from kbootstrap.tasks import certs
from tests.openssl_ca import OpensslCa, made, openssl

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
hosts: {masters: {m1: {address: 192.0.2.11}}, workers: {w1: {address: 192.0.2.21}}}
"""


@pytest.fixture(scope="module")
def corporate(tmp_path_factory: pytest.TempPathFactory) -> OpensslCa:
    return made(tmp_path_factory.mktemp("corporate") / "ca", "corporate")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    found = tmp_path / "inventory" / "lab"
    found.mkdir(parents=True)
    (found / "cluster.yml").write_text(CLUSTER)
    return found


@pytest.fixture(scope="module")
def asked(corporate: OpensslCa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster folder that was given the corporate CA without its key, with requests for everything that it must sign."""
    found = tmp_path_factory.mktemp("asked") / "inventory" / "lab"
    found.mkdir(parents=True)
    (found / "cluster.yml").write_text(CLUSTER)
    before = Path.cwd()
    os.chdir(found.parent.parent)
    try:
        certs.install(Context(), path=str(corporate.chain), ca="cluster-ca")
        certs.csr(Context())
    finally:
        os.chdir(before)
    return found


@pytest.fixture
def waiting(asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(asked, tmp_path / "inventory" / "lab"))


def _refused(capsys: pytest.CaptureFixture[str], call: Callable[[], object]) -> str:
    with pytest.raises(Exit) as caught:
        call()
    assert caught.value.code == 6
    return capsys.readouterr().err


def _signed(waiting: Path, ca: OpensslCa, target: Path, days: int = 90) -> None:
    target.mkdir()
    for request in sorted((waiting / "requests").glob("*.csr")):
        openssl("req", "-verify", "-noout", "-in", request)
        ca.sign(request, target / f"{request.stem}.crt", days=1 if request.stem == issue.BOOTSTRAP.id else days)


def test_everything_signed_elsewhere_is_taken_and_openssl_verifies_it(waiting: Path, corporate: OpensslCa, tmp_path: Path) -> None:
    spec = inventory.load(waiting / "cluster.yml")
    mine = [p for p in profiles(spec) if p.issuer == "ca"]
    names = {f"{p.id.replace('/', '.')}.csr" for p in mine} | {"bootstrap-admin.csr"}
    assert {path.name for path in (waiting / "requests").iterdir()} == names
    assert {p.id for p in mine} < set(pki_dir.load(waiting / "pki").pending)
    _signed(waiting, corporate, tmp_path / "signed")
    certs.install(Context(), path=str(tmp_path / "signed"))
    pki = pki_dir.load(waiting / "pki")
    assert pki.pending == {}
    assert pki.ca("ca").key_pem == b""
    assert pki.trust("ca") == corporate.root.read_bytes()
    assert not list((waiting / "pki").rglob("*.pending.key*"))
    for profile in mine:
        pem = pki.pair(profile.id).cert_pem
        assert len(inspect.blocks(pem)) == 2, "the leaf and the intermediate, without the root"
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(pem)
        purpose = "sslserver" if Usage.SERVER in profile.usages else "sslclient"
        openssl("verify", "-x509_strict", "-no-CApath", "-purpose", purpose, "-CAfile", corporate.root, "-untrusted", leaf, leaf)
    ledger = {entry.id: entry for entry in pki_dir.ledger(waiting / "pki")}
    assert ledger["m1/apiserver"].reason == "signed elsewhere"
    certs.ensure(Context())  # what etcd's own CA must sign is made here, and nothing else is due
    done = pki_dir.load(waiting / "pki")
    assert {p.id for p in profiles(spec)} | {"bootstrap-admin"} == set(done.pairs)


def test_asking_again_writes_the_same_requests_and_installing_again_changes_nothing(
    waiting: Path, corporate: OpensslCa, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in (waiting / "requests").iterdir()}
    certs.csr(Context())
    assert {path.name: path.read_bytes() for path in (waiting / "requests").iterdir() if path.suffix == ".csr"} == before
    _signed(waiting, corporate, tmp_path / "signed")
    certs.install(Context(), path=str(tmp_path / "signed"))
    whole = pki_dir.load(waiting / "pki")
    capsys.readouterr()
    certs.install(Context(), path=str(tmp_path / "signed"))
    assert "0 taken: nothing here is new" in capsys.readouterr().out
    assert pki_dir.load(waiting / "pki") == whole
    certs.csr(Context())
    assert "0 requests" in capsys.readouterr().out


def test_what_is_named_is_asked_for_before_it_is_due_and_the_one_before_is_kept(waiting: Path, corporate: OpensslCa, tmp_path: Path) -> None:
    _signed(waiting, corporate, tmp_path / "signed")
    certs.install(Context(), path=str(tmp_path / "signed"))
    before = pki_dir.load(waiting / "pki")
    (tmp_path / "again").mkdir()
    certs.csr(Context(), name="kubelet-client", host="w1", to=str(tmp_path / "again"))
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["w1.kubelet-client.csr"]
    assert pki_dir.load(waiting / "pki").pairs == before.pairs, "what is in use stays in use until an answer is taken"
    answer = corporate.sign(tmp_path / "again/w1.kubelet-client.csr", tmp_path / "answer.crt")
    openssl("crl2pkcs7", "-nocrl", "-certfile", answer, "-certfile", corporate.chain, "-outform", "DER", "-out", tmp_path / "answer.p7b")
    certs.install(Context(), path=str(tmp_path / "answer.p7b"))
    after = pki_dir.load(waiting / "pki")
    assert {name for name in after.pairs if after.pairs[name] != before.pairs[name]} == {"w1/kubelet-client"}
    assert (waiting / "pki/hosts/w1/kubelet-client.pem.previous").read_bytes() == before.pair("w1/kubelet-client").combined


def test_what_comes_back_wrong_is_refused_file_by_file_and_nothing_is_written(
    waiting: Path, corporate: OpensslCa, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = made(tmp_path / "stranger", "stranger")
    requests, signed = waiting / "requests", tmp_path / "signed"
    signed.mkdir()
    corporate.sign(requests / "admin.csr", signed / "good.crt")
    stranger.sign(requests / "m1.apiserver.csr", signed / "foreign.crt")
    corporate.sign(requests / "m1.scheduler.csr", signed / "bare.crt", options=())
    (tmp_path / "usage.cnf").write_text("extendedKeyUsage = serverAuth, clientAuth\nsubjectAltName = DNS:w1, IP:192.0.2.21\n")
    corporate.sign(requests / "w1.kubelet-server.csr", signed / "usages.crt", options=("-extfile", str(tmp_path / "usage.cnf")))
    (tmp_path / "san.cnf").write_text("extendedKeyUsage = serverAuth\nsubjectAltName = DNS:m1\n")
    corporate.sign(requests / "m1.kubelet-server.csr", signed / "sans.crt", options=("-extfile", str(tmp_path / "san.cnf")))
    (tmp_path / "key.pem").write_bytes(pki_dir.load(waiting / "pki").pending["w1/kubelet-client"])
    openssl("req", "-new", "-key", tmp_path / "key.pem", "-subj", "/CN=root", "-out", tmp_path / "root.csr")
    corporate.sign(tmp_path / "root.csr", signed / "subject.crt", options=("-extfile", str(tmp_path / "usage.cnf")))
    corporate.sign(requests / "bootstrap-admin.csr", signed / "long.crt", days=365)
    selfmade = ("-x509", *EC, "-subj", "/CN=x", "-addext", "basicConstraints = critical, CA:FALSE")
    openssl("req", *selfmade, "-keyout", tmp_path / "x", "-out", signed / "strange.crt")
    (signed / "text.pem").write_text("no certificate\n")
    before = {path: path.read_bytes() for path in (waiting / "pki").rglob("*") if path.is_file()}
    said = _refused(capsys, lambda: certs.install(Context(), path=str(signed)))
    for name, why in {
        "foreign.crt": "answers the request for m1/apiserver, but it is signed by stranger issuing, want corporate issuing",
        "bare.crt": "answers the request for m1/scheduler, but its DNS names lack localhost",
        "usages.crt": "answers the request for w1/kubelet-server, but usages client server, want server",
        "sans.crt": "answers the request for m1/kubelet-server, but its addresses lack 192.0.2.11",
        "long.crt": "it is valid for 365 days",
        "subject.crt": "answers the request for w1/kubelet-client, but common name root, want system:node:w1",
        "strange.crt": "over a public key of which no request is open here",
        "text.pem": "holds no certificate",
    }.items():
        line = next(line for line in said.splitlines() if f"/{name} " in line)
        assert why in line, line
    assert "good.crt" not in said
    assert {path: path.read_bytes() for path in (waiting / "pki").rglob("*") if path.is_file()} == before


def test_an_intermediate_asked_for_here_signs_here(folder: Path, corporate: OpensslCa, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    certs.csr(Context(), ca="etcd-ca", to=str(tmp_path / "out"))
    request = tmp_path / "out/etcd-ca.csr"
    assert "CA:TRUE, pathlen:0" in openssl("req", "-verify", "-noout", "-text", "-in", request)
    assert "waits for its certificate" in _refused(capsys, lambda: certs.ensure(Context()))
    assert not (folder / "pki/ca/ca.crt").exists()
    corporate.sign(request, tmp_path / "etcd.crt", by="root", days=700)
    assert "does not end with a root" in _refused(capsys, lambda: certs.install(Context(), path=str(tmp_path / "etcd.crt")))
    certs.install(Context(), path=f"{tmp_path / 'etcd.crt'},{corporate.root}")
    certs.ensure(Context())
    pki = pki_dir.load(folder / "pki")
    assert pki.given == {}
    assert len(inspect.blocks(pki.ca("etcd-ca").cert_pem)) == 2
    assert len(inspect.blocks(pki.pair("m1/etcd-peer").cert_pem)) == 2
    assert len(inspect.blocks(pki.pair("m1/apiserver").cert_pem)) == 1
    assert "no other is taken in its place" in _refused(capsys, lambda: certs.csr(Context(), ca="etcd-ca"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"days": -1}, "which expired on"),
        ({"more": "extendedKeyUsage = serverAuth"}, "extended key usages lack client"),
        ({"more": "nameConstraints = permitted;DNS:.example.com"}, "name constraints do not permit"),
    ],
)
def test_a_ca_that_could_not_serve_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, object], why: str
) -> None:
    ca = made(tmp_path / "ca", "poor", **options)  # type: ignore[arg-type]
    assert why in _refused(capsys, lambda: certs.install(Context(), path=str(ca.chain), ca="cluster-ca", key=str(ca.key)))
    assert not (folder / "pki").exists()


def test_chains_that_are_none_and_keys_of_others_are_refused(
    folder: Path, corporate: OpensslCa, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def give(path: Path, name: str = "cluster-ca", key: Path | str = "") -> str:
        return _refused(capsys, lambda: certs.install(Context(), path=str(path), ca=name, key=str(key)))

    assert "does not end with a root" in give(corporate.folder / "issuing.crt")
    assert "does not belong to the key given with it" in give(corporate.chain, key=corporate.folder / "root.key")
    openssl("req", "-new", *EC, "-subj", "/CN=below", "-keyout", tmp_path / "below.key", "-out", tmp_path / "below.csr")
    extensions = ("-extfile", str(corporate.folder / "extensions.cnf"), "-extensions", "intermediate")
    leaf = corporate.sign(tmp_path / "below.csr", tmp_path / "below.crt", options=extensions)
    (tmp_path / "long.crt").write_text(leaf.read_text() + corporate.chain.read_text())
    assert "allows 0 CAs below it" in give(tmp_path / "long.crt")
    certs.install(Context(), path=str(corporate.chain), ca="etcd-ca", key=str(corporate.key))
    assert "Hosts trust the root «corporate root»" in capsys.readouterr().err
    assert "leads to the root «corporate root», as the CA etcd-ca does" in give(corporate.chain)
    assert (folder / "pki" / layout.ca_key("etcd-ca", layout.GIVEN)).stat().st_mode & 0o777 == 0o600
