"""``cluster.export`` on one machine, ``cluster.import`` on another: byte for byte, nothing is overwritten, what is missing there is told."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.model.pki import Pki
from kbootstrap.pki import issue, seal
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import backup, clock, passphrase, pki_dir, vault
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import certs, cluster

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
ssh: {user: root, key: ssh/id}
hosts: {masters: {m1: {address: 192.0.2.11}, m2: {address: 192.0.2.12}, m3: {address: 192.0.2.13, ssh: {key: other}}}}
"""
CHEAP = 2
FILE = "word"
TAKEN = ("cluster.yml", "known_hosts", "overrides/x.j2", "pins.yml", "state.yml")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``inventory/lab``; the archive lies in it as ``x``. scrypt costs little."""
    monkeypatch.setattr(backup.write, "__kwdefaults__", {"cost": CHEAP})
    folder = tmp_path / "there/inventory/lab"
    (folder / "overrides").mkdir(parents=True)
    (folder / "ssh").mkdir()
    for name, text in {
        "cluster.yml": CLUSTER,
        "state.yml": "cluster_id: x\n",
        "known_hosts": "h k v\n",
        "overrides/x.j2": "x",
        "ssh/id": "mine",
    }.items():
        (folder / name).write_text(text)
    (folder / "pins.yml").write_text("{}\n")
    spec = inventory.load(folder / "cluster.yml")
    pki, issued = issue.complete(Pki(), profiles(spec), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(folder / "pki", pki, issued)
    monkeypatch.chdir(tmp_path / "there")
    word(b"correct horse battery")
    cluster.export(Context(), to="x", passphrase_file=FILE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    word(b"correct horse battery")
    return tmp_path / "there"


def word(text: bytes) -> None:
    Path("word").write_bytes(text + b"\n")
    Path("word").chmod(0o600)


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".lock") and p.parent.name != "ssh"}
    return {name: (path.stat().st_mode & 0o777, path.read_bytes()) for name, path in files.items()}


def refused(capsys: pytest.CaptureFixture[str], call: Callable[[], object], code: int) -> str:
    capsys.readouterr()
    with pytest.raises(Exit) as caught:
        call()
    assert caught.value.code == code
    return capsys.readouterr().err


def test_all_but_the_keys_of_ssh_arrives_and_what_is_missing_is_told(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE)
    said = capsys.readouterr().out
    assert tree(Path("inventory/lab")) == tree(there / "inventory/lab")
    assert set(TAKEN) <= tree(Path("inventory/lab")).keys()
    assert not Path("inventory/lab/ssh").exists()
    assert "inventory/lab/ssh/id (m1, m2)" in said
    assert "inventory/lab/other (m3)" in said
    assert "Next: invoke cluster.plan --cluster lab" in said.replace("./inv", "invoke")
    cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE)
    assert "were there, and are verified" in capsys.readouterr().out


def test_a_cluster_that_is_there_is_not_overwritten(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("inventory/lab")
    folder.mkdir(parents=True)
    (folder / "cluster.yml").write_text("mine")
    said = refused(capsys, lambda: cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE), 2)
    assert "inventory/lab holds a cluster already; nothing was written" in said
    assert tree(folder).keys() == {"cluster.yml"}
    cluster.import_(Context(), file=str(there / "x"), to="beside", passphrase_file=FILE)
    assert tree(Path("beside")) == tree(there / "inventory/lab")


def test_another_passphrase_and_a_changed_file_are_refused_before_anything_is_made(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    word(b"another passphrase")
    assert "the passphrase does not open it" in refused(capsys, lambda: cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE), 6)
    word(b"correct horse battery")
    content = bytearray((there / "x").read_bytes())
    content[-1] ^= 1
    Path("changed").write_bytes(content)
    refused(capsys, lambda: cluster.import_(Context(), file="changed", passphrase_file=FILE), 6)
    refused(capsys, lambda: cluster.import_(Context(), file="nowhere", passphrase_file=FILE), 2)
    assert not Path("inventory").exists()


def test_an_import_that_was_cut_short_goes_on(there: Path) -> None:
    members = backup.read(there / "x", b"correct horse battery")
    some = {name: member for name, member in members.items() if name == "state.yml"}
    Path("inventory/lab").mkdir(parents=True)
    backup.restore(some, Path("inventory/lab"))  # cluster.yml comes last: until then the folder is no cluster
    cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE)
    assert tree(Path("inventory/lab")) == tree(there / "inventory/lab")


def test_more_files_of_the_folder_travel_with_it_and_too_much_is_refused(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(root=there / "inventory/lab")
    folder.snapshots.mkdir()
    extra = folder.snapshots / "lab-1.db"
    extra.write_bytes(b"x" * 100)
    backup.write(folder, Path("with"), b"correct horse battery", (extra,), now=clock.now(), cost=CHEAP)
    assert backup.read(Path("with"), b"correct horse battery")["snapshots/lab-1.db"].content == b"x" * 100
    monkeypatch.setattr(backup, "_MOST", 50)
    with pytest.raises(Exception, match="do not go into one sealed file"):
        backup.write(folder, Path("more"), b"correct horse battery", (extra,), now=clock.now(), cost=CHEAP)
    assert not Path("more").exists()


def forged(there: Path, *more: tarfile.TarInfo, note: str = "lab", **changed: str) -> Path:
    """The archive as somebody would make it who knows its passphrase: *changed* contents (``_`` for the dot), *more* members, another name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, member in backup.read(there / "x", b"correct horse battery").items():
            content = changed[key].encode() if (key := name.replace(".", "_")) in changed else member.content
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), member.mode
            tar.addfile(info, io.BytesIO(content))
        for info in more:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    lock = seal.Lock(note=f"kbootstrap backup of {note}, 2026-01-01 00:00 UTC", salt=b"0" * 16, cost=CHEAP)
    Path("forged").write_bytes(seal.close(lock, b"correct horse battery", packed.getvalue(), SystemEntropy()))
    return Path("forged")


def named(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "cluster.yml"
    return info


@pytest.mark.parametrize("task", [cluster.import_, certs.restore])
def test_an_archive_says_no_folder_but_a_clusters(there: Path, capsys: pytest.CaptureFixture[str], task: Callable[..., object]) -> None:
    for note in ("../../home/.ssh", "/etc/x", "..", "", "Lab", "a/b"):
        source = forged(there, note=note)
        said = refused(capsys, partial(task, Context(), file=str(source), passphrase_file=FILE), 6)
        assert f"{note!r}, which is no name of a cluster; nothing was written" in said
        assert "--to inventory/NAME" in said
        assert sorted(path.name for path in Path().iterdir()) == ["forged", "word"]


@pytest.mark.parametrize("task", [cluster.import_, certs.restore])
def test_an_archive_holds_nothing_but_what_an_export_takes(there: Path, capsys: pytest.CaptureFixture[str], task: Callable[..., object]) -> None:
    spelled = ("authorized_keys", "pki/../../x", "pki//x", "pki/./x", "ssh/id", "/etc/passwd", "pki", ".lock", "cluster.yml", "pki/sa.key/x")
    linked = (named("pki/link", tarfile.SYMTYPE), named("pki/hard", tarfile.LNKTYPE), named("overrides/d", tarfile.DIRTYPE))
    for member in (*map(named, spelled), *linked):
        source = forged(there, member)
        said = refused(capsys, partial(task, Context(), file=str(source), passphrase_file=FILE), 6)
        assert "is no file that a backup may hold; nothing was written" in said, member.name
        assert sorted(path.name for path in Path().iterdir()) == ["forged", "word"]


@pytest.mark.parametrize("name", ["cluster_yml", "state_yml", "pki/sa_pub"])
def test_what_is_not_fit_is_never_there_under_its_name(there: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    source = forged(there, **{name: "no: such: thing"})
    with pytest.raises(Exit):
        cluster.import_(Context(), file=str(source), passphrase_file=FILE)
    said = capsys.readouterr().err
    assert "forged: " in said
    assert "nothing was written" in said
    assert ".arriving" not in said
    assert list(Path("inventory").iterdir()) == []
    cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE)
    assert [path.name for path in Path("inventory").iterdir()] == ["lab"]


def test_what_a_killed_import_left_is_no_cluster_and_goes(there: Path) -> None:
    left = Path("inventory/.lab.arriving/new")
    left.mkdir(parents=True)
    (left / "cluster.yml").write_text("torn")
    assert not list(Path("inventory").glob("*/cluster.yml"))
    cluster.import_(Context(), file=str(there / "x"), passphrase_file=FILE)
    assert tree(Path("inventory/lab")) == tree(there / "inventory/lab")
    assert [path.name for path in Path("inventory").iterdir()] == ["lab"]


def test_a_sealed_pki_is_said_to_be_unread(there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    token = passphrase.SOURCE.set(lambda _: b"another horse battery")
    vault.seal_all(there / "inventory/lab/pki", cost=CHEAP)
    passphrase.SOURCE.reset(token)
    backup.write(Folder(root=there / "inventory/lab"), Path("sealed"), b"correct horse battery", now=clock.now(), cost=CHEAP)
    cluster.import_(Context(), file="sealed", passphrase_file=FILE)
    assert "what is in them was not read" in capsys.readouterr().out
    assert tree(Path("inventory/lab")) == tree(there / "inventory/lab")
    cluster.import_(Context(), file=str(there / "x"), to="open", passphrase_file=FILE)
    assert "not read" not in capsys.readouterr().out
