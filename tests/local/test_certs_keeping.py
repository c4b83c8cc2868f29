"""How certificates are kept on a real disk: locked keys as openssl opens them, sealed directories, backups, and SIGKILL at every change of each."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.errors import PkiError, UsageError
from kbootstrap.model.pki import Pki
from kbootstrap.pki import issue, seal
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import backup, clock, pki_dir, vault
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.store.passphrase import SOURCE
from kbootstrap.tasks import certs
from tests.killed import at_every_change
from tests.openssl_ca import openssl

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
network: {pods: 10.244.0.0/16, services: 10.96.0.0/16}
hosts: {masters: {m1: {address: 192.0.2.11}}}
"""
WORD = b"correct horse battery"
CHEAP = 2  # scrypt's cost: the strength is not what is tested
FILE = "word"
PRIVATE = b"PRIVATE KEY-----"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "inventory" / "lab"
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text(CLUSTER)
    (folder / "state.yml").write_text("cluster_id: x\n")
    (folder / "overrides").mkdir()
    (folder / "overrides/x.j2").write_text("x")
    spec = inventory.load(folder / "cluster.yml")
    pki, issued = issue.complete(Pki(), profiles(spec), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(folder / "pki", pki, issued)
    return folder


@pytest.fixture
def lab(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``inventory/lab`` in an empty working directory; its cluster.yml names the file with the passphrase. scrypt costs little."""
    monkeypatch.chdir(tmp_path)
    for writer in (vault.seal_all, backup.write):
        monkeypatch.setattr(writer, "__kwdefaults__", {"cost": CHEAP})
    shutil.copytree(made, "inventory/lab")
    folder = Path("inventory/lab")
    with (folder / "cluster.yml").open("a") as file:
        file.write("certificates: {passphrase_file: ../../word}\n")
    _say(WORD)
    return folder


@pytest.fixture
def few(lab: Path) -> Path:
    """*lab* with two leaves: what is killed at every change of many files is killed at the same few kinds of change."""
    for pair in lab.rglob("*.pem"):
        if pair.stem not in {"admin", "apiserver"}:
            pair.unlink()
    return lab


def _say(word: bytes) -> None:
    Path("word").write_bytes(word + b"\n")
    Path("word").chmod(0o600)


def _tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _refused(capsys: pytest.CaptureFixture[str], call: Callable[[], object], code: int = 6) -> str:
    capsys.readouterr()
    with pytest.raises(Exit) as caught:
        call()
    assert caught.value.code == code
    return capsys.readouterr().err


def _closed(root: Path) -> bool:
    return all(not path.stat().st_mode & 0o077 for path in [root, *root.rglob("*")])


def test_locked_keys_open_for_openssl_and_sign_only_with_the_passphrase(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = pki_dir.load(lab / "pki")
    certs.encrypt_keys(Context())
    for key in (lab / "pki/ca").glob("*.key*"):
        assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert "scrypt" in openssl("asn1parse", "-in", key)
        opened = openssl("pkey", "-in", key, "-passin", f"pass:{WORD.decode()}")
        assert opened.encode() == before.ca(key.stem).key_pem
        assert subprocess.run(["openssl", "pkey", "-in", key, "-passin", "pass:wrong"], capture_output=True, check=False).returncode
    assert _closed(lab / "pki")
    assert certs.plan(Context()) is None, "nothing is due, so nobody is asked"
    (lab / "pki/users/admin.pem").unlink()
    _say(b"another passphrase")
    assert "ca/ca.key: the passphrase does not open it" in _refused(capsys, lambda: certs.ensure(Context()))
    assert not (lab / "pki/users/admin.pem").exists()
    _say(WORD)
    certs.ensure(Context())
    assert "admin" in pki_dir.load(lab / "pki").pairs
    certs.decrypt_keys(Context())
    assert pki_dir.load(lab / "pki").cas == before.cas


def test_what_openssl_locked_signs_too_and_a_key_of_another_ca_does_not(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = lab / "pki/ca/ca.key"
    for options in (["pkcs8", "-topk8"], ["ec", "-aes256"]):
        plain = key.read_bytes()
        openssl(*options, "-in", key, "-out", "locked.key", "-passout", f"pass:{WORD.decode()}")
        key.write_bytes(Path("locked.key").read_bytes())
        (lab / "pki/users/admin.pem").unlink()
        certs.ensure(Context())
        key.write_bytes(plain)
    openssl("pkcs8", "-topk8", "-in", lab / "pki/ca/etcd-ca.key", "-out", "locked.key", "-passout", f"pass:{WORD.decode()}")
    key.write_bytes(Path("locked.key").read_bytes())
    (lab / "pki/users/admin.pem").unlink()
    assert "does not belong to the CA's certificate" in _refused(capsys, lambda: certs.ensure(Context()))


def test_passphrases_are_refused_where_others_could_read_them(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certs.seal(Context())
    Path("word").chmod(0o640)
    assert "chmod 600" in _refused(capsys, lambda: certs.plan(Context()))
    Path("word").unlink()
    assert "It was to hold the passphrase" in _refused(capsys, lambda: certs.plan(Context()))
    (lab / "cluster.yml").write_text(CLUSTER)
    said = _refused(capsys, lambda: certs.plan(Context()))
    assert said.startswith("error: no passphrase for the PKI directory inventory/lab/pki: there is no terminal to ask on")
    assert "--passphrase-fd 3 3<FILE" in said
    out, into = os.pipe()
    os.write(into, WORD + b"\n")
    os.close(into)
    certs.plan(Context(), passphrase_fd=out)
    _say(WORD)
    certs.plan(Context(), passphrase_file=FILE)
    certs.unseal(Context(), passphrase_file=FILE)
    _say(b"shorter")
    assert "7 characters" in _refused(capsys, lambda: certs.encrypt_keys(Context(), passphrase_file=FILE))


def test_a_sealed_directory_gives_nothing_away_and_every_command_works_with_it(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _tree(lab / "pki")
    certs.seal(Context())
    sealed = _tree(lab / "pki")
    assert sealed.keys() == before.keys() | {vault.HEADER}
    for name, content in sealed.items():
        assert PRIVATE not in content
        assert b"CERTIFICATE" not in content
        assert name == vault.HEADER or before[name] not in content
    assert _closed(lab / "pki")
    certs.plan(Context())
    certs.show(Context())
    (lab / "pki/users/admin.pem").unlink()
    certs.ensure(Context())
    admin = (lab / "pki/users/admin.pem").read_bytes()
    assert seal.is_sealed_file(admin)
    capsys.readouterr()
    certs.issued(Context(), name="admin")
    assert "2 signatures" in capsys.readouterr().out
    _say(b"another passphrase")
    assert "the passphrase does not open it" in _refused(capsys, lambda: certs.ensure(Context()))
    assert "the passphrase does not open it" in _refused(capsys, lambda: certs.unseal(Context()))
    _say(WORD)
    certs.unseal(Context())
    after = _tree(lab / "pki")
    changed = {"users/admin.pem", "ledger.jsonl"}
    assert {n: c for n, c in after.items() if n not in changed} == {n: c for n, c in before.items() if n not in changed}


def test_the_ledger_is_a_table_and_revoking_names_its_own_commands(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "pki/users/admin.pem").unlink()
    certs.ensure(Context())
    capsys.readouterr()
    certs.issued(Context(), json=True)
    rows = json.loads(capsys.readouterr().out)["issued"]
    pki = pki_dir.load(lab / "pki")
    assert {row["id"] for row in rows} == {*pki.cas, *pki.pairs}
    old, new = (row for row in rows if row["id"] == "admin")
    assert (old["newest"], new["newest"], new["groups"]) == (False, True, ["kbootstrap:admins"])
    assert (bool(new["who"]), bool(new["when"]), new["reason"]) == (True, True, "there is none yet")
    certs.issued(Context(), host="m1", name="apiserver")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SERIAL", "ID", "SUBJECT", "GROUPS", "EXPIRES", "WHEN", "WHO", "WHY"]
    assert [line.split()[1] for line in lines[1:-1]] == ["m1/apiserver"]
    certs.revoke(Context(), what=new["serial"])
    said = capsys.readouterr().out
    assert said.startswith(f"admin {new['serial'][:16]}: accepted until")
    assert "certs.rotate --ca cluster" in said
    assert "the ledger knows no nobody" in _refused(capsys, lambda: certs.revoke(Context(), what="nobody"), code=2)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda p: shutil.copy(p / "ca/ca.key", p / "ca/etcd-ca.key"), "was changed since it was sealed, or belongs to another"),
        (lambda p: (p / "sa.key").write_bytes((p / "sa.key").read_bytes()[:-1] + b"x"), "was changed since it was sealed"),
        (lambda p: (p / "hosts/m1/apiserver.pem").write_text("-----BEGIN"), "is not sealed, as all files here are"),
        (lambda p: (p / vault.HEADER).unlink(), "is sealed, and inventory/lab/pki/sealed.json is missing"),
        (lambda p: (p / vault.HEADER).write_text("{}\n"), "its header is damaged"),
        (lambda p: (p / vault.HEADER).write_bytes((p / vault.HEADER).read_bytes().replace(b'"version": 1', b'"version": 2')), "version 2"),
        (lambda p: (p / vault.HEADER).write_bytes((p / vault.HEADER).read_bytes().replace(b"all files", b"some file")), "does not open it"),
        (lambda p: (p / vault.HEADER).write_bytes((p / vault.HEADER).read_bytes().replace(b'"n": 2', b'"n": 1073741824')), "which is not done"),
    ],
)
def test_what_was_changed_behind_the_seal_is_refused(
    lab: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], object], what: str
) -> None:
    certs.seal(Context())
    harm(lab / "pki")
    before = _tree(lab / "pki")
    assert what in _refused(capsys, lambda: certs.ensure(Context()))
    assert _tree(lab / "pki") == before


def test_killed_at_any_change_sealing_and_unsealing_go_on(few: Path) -> None:
    root = few / "pki"
    plain = _tree(root)
    shutil.copytree(root, "plain")
    token = SOURCE.set(lambda what: WORD)
    try:
        whole = pki_dir.load(root)

        def begin() -> None:
            shutil.rmtree(root)
            shutil.copytree("plain", root)

        def readable() -> None:
            assert pki_dir.load(root) == whole
            assert len(pki_dir.ledger(root)) == len(plain["ledger.jsonl"].splitlines())

        def both() -> None:
            readable()
            vault.seal_all(root, cost=CHEAP)
            readable()
            assert not [name for name, content in _tree(root).items() if PRIVATE in content], "no half-written file lies open"

        assert at_every_change(begin, lambda: vault.seal_all(root, cost=CHEAP), both) > 2 * len(plain)
        shutil.copytree(root, "sealed")

        def begin_sealed() -> None:
            shutil.rmtree(root)
            shutil.copytree("sealed", root)

        def opened() -> None:
            readable()
            if vault.is_sealed(root):
                vault.unseal_all(root)
            assert _tree(root) == plain

        assert at_every_change(begin_sealed, lambda: vault.unseal_all(root), opened) > 2 * len(plain)
    finally:
        SOURCE.reset(token)


@pytest.mark.parametrize("sealed", [False, True])
def test_killed_at_any_change_of_a_run_the_directory_is_whole(few: Path, sealed: bool) -> None:
    """The first making of everything, then leaves issued anew, plain and into a sealed directory: SIGKILL before each change of the disk."""
    spec, root = inventory.load(few / "cluster.yml"), few / "pki"
    wanted = [p for p in profiles(spec) if p.name in {"apiserver", "admin"}]
    token = SOURCE.set(lambda what: WORD)
    cas = pki_dir.load(root).cas

    def run() -> None:
        pki, issued = issue.complete(pki_dir.load(root), wanted, now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
        pki_dir.save(root, pki, issued)

    def begin() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree("whole", root)
        for path in (root / "users/admin.pem", root / "hosts/m1/apiserver.pem"):
            path.unlink()

    def whole() -> None:
        assert pki_dir.load(root).cas == cas
        run()
        assert {"admin", "m1/apiserver"} <= set(pki_dir.load(root).pairs)
        assert _closed(root)

    try:
        if sealed:
            vault.seal_all(root, cost=CHEAP)
        shutil.copytree(root, "whole")
        at_every_change(begin, run, whole)
        if not sealed:

            def new() -> None:
                run()
                assert len(pki_dir.load(root).cas) == 3

            at_every_change(lambda: shutil.rmtree(root, ignore_errors=True), run, new)
    finally:
        SOURCE.reset(token)


def test_a_backup_gives_everything_back_byte_for_byte(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(lab / "pki/users/admin.pem", lab / "pki/users/admin.pem.previous")
    before = _tree(lab)
    certs.backup(Context(), to="x.kbbackup", passphrase_file=FILE)
    archive = Path("x.kbbackup")
    assert archive.stat().st_mode & 0o777 == 0o600
    assert PRIVATE not in archive.read_bytes()
    assert "A backup replaces nothing" in _refused(capsys, lambda: certs.backup(Context(), to="x.kbbackup", passphrase_file=FILE), code=2)
    shutil.rmtree(lab)
    _say(b"another passphrase")
    assert "the passphrase does not open it" in _refused(capsys, lambda: certs.restore(Context(), file="x.kbbackup", passphrase_file=FILE))
    _say(WORD)
    certs.restore(Context(), file="x.kbbackup", passphrase_file=FILE)
    locks = {".lock", ".lock.owner"}
    assert {n: c for n, c in _tree(lab).items() if n not in locks} == {n: c for n, c in before.items() if n not in locks}
    assert _closed(lab / "pki")
    certs.plan(Context())
    (lab / "pki/ca/ca.key").unlink()
    certs.restore(Context(), file="x.kbbackup", passphrase_file=FILE)
    assert (lab / "pki/ca/ca.key").read_bytes() == before["pki/ca/ca.key"]


def test_a_restore_replaces_nothing(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certs.backup(Context(), to="x.kbbackup", passphrase_file=FILE)
    (lab / "pki/users/admin.pem").write_bytes((lab / "pki/hosts/m1/scheduler-client.pem").read_bytes())
    (lab / "pki/ca/ca.key").unlink()
    before = _tree(lab / "pki")
    said = _refused(capsys, lambda: certs.restore(Context(), file="x.kbbackup", passphrase_file=FILE))
    assert "inventory/lab/pki/users/admin.pem  differs from the one in the backup" in said
    assert _tree(lab / "pki") == before
    certs.restore(Context(), file="x.kbbackup", to="beside", passphrase_file=FILE)
    assert pki_dir.load(Path("beside/pki")).ca("ca").key_pem


@pytest.mark.parametrize("position", [0, 40, 200, -1])
def test_a_changed_archive_is_refused(lab: Path, capsys: pytest.CaptureFixture[str], position: int) -> None:
    certs.backup(Context(), to="x.kbbackup", passphrase_file=FILE)
    content = bytearray(Path("x.kbbackup").read_bytes())
    content[position] ^= 1
    Path("x.kbbackup").write_bytes(content)
    assert _refused(capsys, lambda: certs.restore(Context(), file="x.kbbackup", to="beside", passphrase_file=FILE))
    assert not Path("beside/pki").exists()


def test_killed_at_any_change_a_restore_goes_on(few: Path) -> None:
    folder, target = Folder(root=few), Path("beside")
    backup.write(folder, Path("x.kbbackup"), WORD, now=clock.now(), cost=CHEAP)
    members = backup.read(Path("x.kbbackup"), WORD)

    def judge() -> None:
        if (target / "cluster.yml").exists():
            assert pki_dir.load(target / "pki").cas
        elif (target / "pki").exists():
            assert {f"pki/{name}" for name in _tree(target / "pki")} == {name for name in members if name.startswith("pki/")}
        backup.restore(members, target)
        assert {n: c for n, c in _tree(target).items() if not n.endswith(".tmp")} == {name: member.content for name, member in members.items()}

    at_every_change(lambda: shutil.rmtree(target, ignore_errors=True), lambda: backup.restore(members, target), judge)


def test_what_cannot_be_read_back_is_no_backup(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "read", lambda source, passphrase: {})  # a disk that lost it
    with pytest.raises(PkiError, match="it was removed"):
        backup.write(Folder(root=lab), Path("x.kbbackup"), WORD, now=clock.now(), cost=CHEAP)
    assert not Path("x.kbbackup").exists()


def test_killed_at_any_change_a_backup_is_whole_or_not_there(few: Path) -> None:
    folder, target = Folder(root=few), Path("x.kbbackup")

    def write() -> None:
        backup.write(folder, target, WORD, now=clock.now(), cost=CHEAP)

    def judge() -> None:
        if not target.exists():
            write()
        assert "cluster.yml" in backup.read(target, WORD)

    assert at_every_change(lambda: target.unlink(missing_ok=True), write, judge) >= 3
    assert not list(Path().glob(".*.tmp"))


def test_a_full_disk_leaves_no_archive_and_one_without_hard_links_gets_a_whole_one(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, target = Folder(root=few), Path("x.kbbackup")

    def fails(code: int) -> Callable[..., None]:
        def call(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        return call

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fails(errno.ENOSPC))
        with pytest.raises(OSError, match="No space left"):
            backup.write(folder, target, WORD, now=clock.now(), cost=CHEAP)
    assert not [path for path in Path().iterdir() if "kbbackup" in path.name]
    monkeypatch.setattr(os, "link", fails(errno.EPERM))
    backup.write(folder, target, WORD, now=clock.now(), cost=CHEAP)
    members, content = backup.read(target, WORD), target.read_bytes()
    assert "cluster.yml" in members
    with pytest.raises(UsageError, match="exists; nothing was written"):
        backup.write(folder, target, WORD, now=clock.now(), cost=CHEAP)
    assert target.read_bytes() == content
    assert not list(Path().glob(".*.tmp"))
