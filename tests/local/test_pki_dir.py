"""The PKI directory on a real disk: modes, faults, crashes, and the certificates as the real openssl sees them."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from kbootstrap.errors import PkiError
from kbootstrap.model.cluster import Certificates, ClusterSpec, KeyType
from kbootstrap.model.pki import Pki, Profile, Usage
from kbootstrap.pki import inspect, issue, layout
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import a_cluster


def _complete(root: Path, spec: ClusterSpec) -> Pki:
    pki, issued = issue.complete(pki_dir.load(root), profiles(spec), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(root, pki, issued)
    return pki


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PKI of one master and one worker, once for all; tests that harm it take a copy."""
    root = tmp_path_factory.mktemp("cluster") / "pki"
    _complete(root, a_cluster(1, 1))
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "pki"))


def _ledger(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / layout.LEDGER).read_text().splitlines()]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    root = tmp_path / "inventory" / "lab" / "pki"
    assert pki_dir.load(root) == Pki()
    assert _complete(root, a_cluster()) == pki_dir.load(root)
    assert len(pki_dir.load(root).sealing.readers[0].secret) == 32
    assert [p.name for p in root.parent.iterdir()] == ["pki"]


def test_everything_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _complete(tmp_path / "pki", a_cluster(1, 0))
        _complete(tmp_path / "pki", a_cluster(1, 1))
    finally:
        os.umask(before)
    modes = {(p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in [tmp_path / "pki", *(tmp_path / "pki").rglob("*")]}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_a_second_run_writes_nothing(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    _complete(root, a_cluster(1, 1))
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before


def test_a_renewed_pair_keeps_the_one_before_and_the_rest_is_untouched(root: Path) -> None:
    before = pki_dir.load(root)
    after = _complete(root, a_cluster(1, 1, certificates=Certificates(extra_sans=("api.example",))))
    changed = {i for i in after.pairs if after.pairs[i] != before.pairs[i]}
    assert changed == {"m1/apiserver"}
    assert (root / "hosts/m1/apiserver.pem.previous").read_bytes() == before.pair("m1/apiserver").combined
    assert pki_dir.load(root) == after
    assert _ledger(root)[-1]["reason"] == "its DNS names lack api.example"


def test_a_removed_host_keeps_its_certificates(root: Path) -> None:
    _complete(root, a_cluster(1, 0))
    assert "w1/kubelet-client" in pki_dir.load(root).pairs


def test_the_ledger_tells_every_signature(root: Path) -> None:
    pki = pki_dir.load(root)
    entries = {e["id"]: e for e in _ledger(root)}
    assert set(entries) == {*pki.cas, *pki.pairs}
    admin = entries["admin"]
    assert admin["serial"] == inspect.describe(pki.pair("admin").cert_pem).serial
    assert (admin["subject"], admin["groups"], admin["reason"]) == ("kubernetes-admin", ["kbootstrap:admins"], "there is none yet")
    assert set(admin) == {"when", "id", "serial", "issuer", "subject", "groups", "expiry", "reason", "who"}


def test_the_first_bindings_certificate_leaves_a_line_and_no_file(root: Path) -> None:
    files = sorted(root.rglob("*"))
    _, entry = issue.bootstrap_admin(pki_dir.load(root), now=clock.now(), entropy=SystemEntropy())
    with (root / layout.LEDGER).open("a") as file:
        file.write('{"torn')  # a power cut in the middle of a line
    pki_dir.record(root, [entry])
    assert sorted(root.rglob("*")) == files
    assert json.loads((root / layout.LEDGER).read_text().splitlines()[-1])["groups"] == ["system:masters"]


@pytest.mark.parametrize(("path", "mode"), [("", 0o755), ("ca/ca.key", 0o640), ("hosts/w1", 0o701), ("users/admin.pem", 0o604)])
def test_looser_modes_are_refused_with_the_command_that_closes_them(root: Path, path: str, mode: int) -> None:
    (root / path).chmod(mode)
    with pytest.raises(PkiError, match="open to others") as caught:
        pki_dir.load(root)
    assert [p.where for p in caught.value.problems] == [str(root / path)]
    assert f"has mode {mode:04o}" in str(caught.value)
    subprocess.run(caught.value.hint.removeprefix("Close it: ").split(), check=True)
    assert not pki_dir.load(root).is_empty


def _swap(root: Path, one: str, other: str) -> None:
    (root / one).write_bytes((root / other).read_bytes())


@pytest.mark.parametrize(
    ("harm", "file", "what"),
    [
        (lambda r: (r / "ca/etcd-ca.crt").unlink(), "ca/etcd-ca.crt", "is missing"),
        (lambda r: shutil.rmtree(r / "ca"), "ca/ca.crt", "is missing"),
        (lambda r: (r / "sa.key").unlink(), "sa.key", "is missing"),
        (lambda r: (r / "encryption.key").unlink(), "encryption.key", "is missing"),
        (lambda r: (r / "encryption.key").write_text("***"), "encryption.key", "holds no key in base64"),
        (lambda r: (r / "ca/ca.crt").write_text(""), "ca/ca.crt", "is empty"),
        (lambda r: (r / "ca/ca.key").write_text("\n"), "ca/ca.key", "is empty"),
        (lambda r: (r / "hosts/m1/etcd-peer.pem").write_text(""), "hosts/m1/etcd-peer.pem", "is empty"),
        (lambda r: _swap(r, "ca/ca.key", "ca/etcd-ca.key"), "ca/ca.crt", "does not belong to the key in ca/ca.key"),
        (lambda r: _swap(r, "users/admin.pem", "ca/ca.key"), "users/admin.pem", "holds no certificate"),
        (lambda r: _swap(r, "ca/etcd-ca.crt", "ca/front-proxy-ca.crt"), "hosts/m1/etcd-peer.pem", "no CA of this directory"),
    ],
)
def test_a_damaged_directory_is_refused_and_its_file_named(root: Path, harm: Callable[[Path], None], file: str, what: str) -> None:
    harm(root)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with pytest.raises(PkiError) as caught:
        _complete(root, a_cluster(1, 1))
    assert what in {p.where: p.what for p in caught.value.problems}[str(root / file)]
    assert caught.value.exit_code == 6
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("left", ["ledger.jsonl", "ca/ca.key", "users/admin.pem", "users/admin.pem.previous"])
def test_what_is_left_of_a_pki_never_makes_room_for_a_new_ca(tmp_path: Path, made: Path, left: str) -> None:
    root = tmp_path / "pki"
    for folder in (root, (root / left).parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(made / left.removesuffix(".previous"), root / left)
    with pytest.raises(PkiError) as caught:
        pki_dir.load(root)
    assert str(root / "ca/ca.crt") in {p.where for p in caught.value.problems}


def test_a_lost_leaf_is_issued_anew_and_a_ca_key_kept_elsewhere_is_no_fault(root: Path) -> None:
    (root / "users/admin.pem").unlink()
    admin = _complete(root, a_cluster(1, 1)).pair("admin")
    for key in (root / "ca").glob("*.key"):
        key.unlink()
    assert _complete(root, a_cluster(1, 1)).pair("admin") == admin
    with pytest.raises(PkiError, match="4 certificates cannot be issued"):
        _complete(root, a_cluster(1, 2))


def test_no_save_replaces_a_ca(root: Path, tmp_path: Path) -> None:
    other = _complete(tmp_path / "other", a_cluster(1, 1))
    with pytest.raises(PkiError, match="never replaced"):
        pki_dir.save(root, other, ())
    assert pki_dir.load(root).cas != other.cas


def test_of_two_first_runs_one_wins_and_the_other_says_so(tmp_path: Path) -> None:
    first, second = (issue.complete(Pki(), (), now=clock.now(), certificates=Certificates(), entropy=SystemEntropy())[0] for _ in range(2))
    pki_dir.save(tmp_path / "pki", first, ())
    with pytest.raises(PkiError):
        pki_dir.save(tmp_path / "pki", second, ())
    assert pki_dir.load(tmp_path / "pki") == first


def test_the_directory_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "pki").symlink_to(tmp_path / "disk")
    _complete(tmp_path / "pki", a_cluster(1, 0))
    assert (tmp_path / "pki").is_symlink()
    assert (tmp_path / "disk/ca/ca.crt").exists()


def test_a_folder_that_cannot_be_read_is_no_empty_folder(root: Path) -> None:
    (root / "ca").chmod(0)
    if os.access(root / "ca", os.R_OK):  # root reads everything; the same fault without modes
        shutil.rmtree(root / "ca")
        (root / "users/admin.pem").unlink()
        (root / "users/admin.pem").symlink_to("nowhere.pem")
    with pytest.raises(PkiError, match="cannot be read"):
        pki_dir.load(root)


def _save_for_ever(base: Path) -> None:
    for n in count(len(list(base.iterdir()))):
        for m in count():
            _complete(base / f"{n}", a_cluster(1, 1, certificates=Certificates(extra_sans=(f"x{m}.example",))))
            if m == 8:
                break


def test_killed_at_any_moment_the_directory_is_whole(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    chance = random.Random(7)  # noqa: S311  # moments, not keys
    wanted = {p.id for p in profiles(a_cluster(1, 1))}
    cas: dict[str, object] = {}
    began = monotonic()
    _complete(tmp_path / ".pace" / "pki", a_cluster(1, 1))  # on a busy machine a kill after 0.2 s would meet nothing yet
    pace_s = max(0.1, monotonic() - began)
    for _ in range(40):
        process = fork.Process(target=_save_for_ever, args=(tmp_path,))
        process.start()
        sleep(chance.uniform(0.0, 2 * pace_s))
        process.kill()
        process.join()
        for root in (p for p in tmp_path.iterdir() if not p.name.startswith(".")):
            pki = pki_dir.load(root)
            assert set(pki.pairs) == wanted
            assert cas.setdefault(root.name, pki.cas) == pki.cas
            known = {entry["serial"] for entry in _ledger(root)}
            assert {inspect.describe(p.cert_pem).serial for p in pki.pairs.values()} <= known
    assert len(cas) >= 2
    _complete(tmp_path / "0", a_cluster(1, 1))  # and the next run goes on


@pytest.mark.parametrize("kind", KeyType)
def test_the_real_openssl_accepts_every_chain_for_its_purpose_only(tmp_path: Path, kind: KeyType) -> None:
    spec = a_cluster(1, 0, certificates=Certificates(key_type=kind))
    wanted = [p for p in profiles(spec) if kind is KeyType.ECDSA or p.name in {"apiserver", "etcd-peer", "admin"}]
    pki, issued = issue.complete(Pki(), wanted, now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(tmp_path / "pki", pki, issued)
    for profile in wanted:
        for usage, purpose in ((Usage.SERVER, "sslserver"), (Usage.CLIENT, "sslclient")):
            assert _openssl_verifies(tmp_path / "pki", profile, purpose) == (usage in profile.usages), (profile.id, purpose)
        for name in (*profile.dns_names, *profile.ip_addresses):
            option = "-verify_hostname" if isinstance(name, str) else "-verify_ip"
            assert _openssl_verifies(tmp_path / "pki", profile, "any", option, str(name))
        assert not _openssl_verifies(tmp_path / "pki", profile, "any", "-verify_hostname", "elsewhere.example")
        foreign = replace(profile, issuer="front-proxy-ca" if profile.issuer == "ca" else "ca")
        assert not _openssl_verifies(tmp_path / "pki", foreign, "any")


def _openssl_verifies(root: Path, profile: Profile, purpose: str, *options: str) -> bool:
    argv = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAfile", "-purpose", purpose, *options]
    done = subprocess.run([*argv, "-CAfile", root / layout.ca_cert(profile.issuer), root / layout.pair(profile.id)], capture_output=True, check=False)
    return done.returncode == 0
