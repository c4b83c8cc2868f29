"""Files and directories: read, plan, apply, read again, and nothing is left to do; whatever path, mode, owner, content, and whatever lies there."""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine.apply import ledgers
from kbootstrap.errors import ApplyError
from kbootstrap.model.plan import Action, Plan
from kbootstrap.model.resource import Directory, File
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.connection import Running
from kbootstrap.remote.local import LocalConnection
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.fake_host import FakeHost
from tests.local.resources.machine import IDENTITY, LOCAL, ME, Machine

STRANGE = ("with space", "it's", 'a "quoted" one', "$HOME", "a;b", "*", "back`tick`", "-rf", "über", "pipe|in|it")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def a_file(path: Path, content: bytes = b"wanted\n", **more: Any) -> File:
    return File(name=str(path), content=content, **{"owner": ME, **more})


def mode(path: Path) -> int:
    return modes.S_IMODE(path.lstat().st_mode)


def temporaries(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.name.endswith((".kb-new", ".new")) or p.name.startswith(".part-")]


@pytest.mark.parametrize("name", STRANGE)
def test_a_path_may_have_any_character_of_a_shell(machine: Machine, tmp_path: Path, name: str) -> None:
    folder = tmp_path / f"in {name}"
    one, two = a_file(folder / name), a_file(folder / f"{name}2", mode=0o600)
    machine.up(Directory(name=str(folder), owner=ME), one, two)
    assert (folder / name).read_bytes() == b"wanted\n"
    (folder / name).write_text("edited")
    (folder / name).chmod(0o640)
    assert [c.reason for c in machine.up(one, two)] == ["content differs; mode 0640, want 0644"]
    (folder / name).chmod(0o600)
    assert [c.reason for c in machine.up(one, two)] == ["mode 0600, want 0644"]
    assert not temporaries(folder)


@pytest.mark.parametrize("wanted", [0o644, 0o600, 0o400, 0o755, 0o4755, 0o1777, 0o000, 0o2640])
@pytest.mark.parametrize("alone", [True, False])
def test_every_mode_arrives_alone_and_in_a_group(machine: Machine, tmp_path: Path, wanted: int, alone: bool) -> None:
    files = [a_file(tmp_path / f"f{n}", f"{n}\n".encode(), mode=wanted) for n in range(1 if alone else 3)]
    machine.up(*files)
    assert {mode(tmp_path / f"f{n}") for n in range(len(files))} == {wanted}
    (tmp_path / "f0").chmod(0o777)
    machine.up(*files)
    assert mode(tmp_path / "f0") == wanted


@as_root
@pytest.mark.parametrize("alone", [True, False])
def test_owners_arrive_and_are_mended(machine: Machine, tmp_path: Path, alone: bool) -> None:
    tmp_path.chmod(0o755)
    files = [a_file(tmp_path / f"f{n}", owner="nobody:daemon", mode=0o640) for n in range(1 if alone else 3)]
    machine.up(*files)
    assert (tmp_path / "f0").owner() == "nobody"
    assert (tmp_path / "f0").group() == "daemon"
    os.chown(tmp_path / "f0", 54321, 54321)
    assert [c.reason for c in machine.up(*files)] == ["owner UNKNOWN:UNKNOWN, want nobody:daemon"]


@pytest.mark.parametrize("content", [b"", b"\0\xff\n\n\0", b"no newline", b"\n", b"%s\\n$x `y`", bytes(range(256)) * 1000])
def test_content_arrives_byte_for_byte(machine: Machine, tmp_path: Path, content: bytes) -> None:
    before = a_file(tmp_path / "a", b"first")
    machine.up(before, a_file(tmp_path / "b", content), a_file(tmp_path / "c", b"last"), a_file(tmp_path / "d", content))
    assert (tmp_path / "b").read_bytes() == content
    assert (tmp_path / "c").read_bytes() == b"last"
    machine.up(a_file(tmp_path / "a", content))
    assert (tmp_path / "a").read_bytes() == content


def test_a_symbolic_link_in_its_place_is_replaced_and_its_target_left_alone(machine: Machine, tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "f"
    target.write_text("wanted\n")
    path.symlink_to(target)
    (change,) = machine.up(a_file(path))
    assert change.reason == "is a symbolic link, want a file"
    assert not path.is_symlink()
    path.write_text("new")
    assert target.read_text() == "wanted\n"


def test_a_dangling_link_in_its_place_is_replaced_and_kept(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.symlink_to("nowhere")
    machine.up(a_file(path))
    assert path.read_text() == "wanted\n"
    assert str(Path(ledger_of.backup(str(path))).readlink()) == "nowhere"


def test_a_directory_in_its_place_is_kept_aside(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.mkdir()
    (path / "precious").write_text("theirs")
    (change,) = machine.up(a_file(path))
    assert change.reason == "is a directory, want a file"
    assert path.read_text() == "wanted\n"
    assert (Path(ledger_of.backup(str(path))) / "precious").read_text() == "theirs"


def test_a_foreign_file_is_kept_as_it_was_and_the_ledger_says_where(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("theirs")
    path.chmod(0o640)
    os.utime(path, (1, 1))
    machine.up(a_file(path))
    kept = Path(machine.ledger().entries[str(path)]["before"])
    assert kept.read_text() == "theirs"
    assert (mode(kept), kept.stat().st_mtime) == (0o640, 1)
    path.write_text("edited later")
    machine.up(a_file(path))
    assert kept.read_text() == "theirs"


def test_a_new_file_is_not_kept(machine: Machine, tmp_path: Path) -> None:
    machine.up(a_file(tmp_path / "f"))
    (tmp_path / "f").write_text("edited")
    machine.up(a_file(tmp_path / "f"))
    assert machine.ledger().entries[str(tmp_path / "f")] == {"kind": "file", "before": None}
    assert not Path(paths.BEFORE).exists()


def test_a_run_that_ended_between_ledger_and_change_still_keeps_the_foreign_file(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("theirs")
    plan = machine.plan(a_file(path))
    known = ledgers(plan, {"local": machine.seen}, {"local": Ledger()}, IDENTITY)["local"]
    Path(paths.LEDGER).parent.mkdir(parents=True, exist_ok=True)
    Path(paths.LEDGER).write_bytes(known.dump())  # and here the power went
    machine.up(a_file(path))
    assert Path(ledger_of.backup(str(path))).read_text() == "theirs"


def test_what_no_role_declares_any_more_goes_and_what_was_there_comes_back(machine: Machine, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    theirs.write_text("theirs")
    machine.up(a_file(ours), a_file(theirs))
    assert {c.key: c.action for c in machine.up()} == {str(ours): Action.DELETE, str(theirs): Action.DELETE}
    assert not ours.exists()
    assert theirs.read_text() == "theirs"
    assert not [key for key in machine.ledger().entries if key.startswith(str(tmp_path))]


def test_a_secret_is_in_no_program_no_output_and_no_event(machine: Machine, tmp_path: Path) -> None:
    secret = b"correct horse battery staple"
    said = secret.decode()
    old = b"the former secret"
    (tmp_path / "a").write_bytes(old)
    files = [a_file(tmp_path / name, secret, mode=0o600, secret=True) for name in "abc"]
    plan = machine.plan(*files)
    watched = FakeHost(host="local")
    with Pool(machine.pool.hosts, lambda _: watched) as pool, pytest.raises(ApplyError):
        Machine(pool=pool, events=machine.events, seen=machine.seen).apply(plan, ledger=False)  # the fake host answers nothing, and that is an error
    assert watched.programs
    assert secret in b"".join(watched.payloads)
    assert not [p for p in watched.programs if said in p or old.decode() in p]
    assert said not in repr(plan) + repr(files) + repr(list(plan.changes()))
    machine.up(*files)
    assert (tmp_path / "a").read_bytes() == secret
    assert said not in repr(machine.events)


CUT = 5  # bytes that never arrive


class Cut(LocalConnection):
    """The payload ends early, as when the operator's machine dies."""

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        sent = b"".join(bytes(part) for part in payload)
        return super().run(program, payload=(sent[:-CUT],) if sent else (), deadline_s=deadline_s, idle_s=idle_s)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("there", [True, False])
def test_a_payload_cut_short_changes_nothing(machine: Machine, tmp_path: Path, count: int, there: bool) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    files = [a_file(folder / f"f{n}", b"a long content that will be cut\n", secret=True, mode=0o600) for n in range(count)]
    if there:
        machine.up(*(a_file(folder / f"f{n}", b"old") for n in range(count)))
    plan = machine.plan(*files)
    with Pool([LOCAL], lambda host: Cut(host.name)) as pool:
        cut = Machine(pool=pool, seen=machine.seen)
        with pytest.raises(ApplyError, match="f") as caught:
            cut.apply(plan, ledger=False)  # otherwise the ledger would be what is cut
    assert caught.value.problems[0].where == "local"
    last = folder / f"f{count - 1}"
    assert last.read_bytes() == b"old" if there else not last.exists()
    assert not temporaries(folder)
    machine.up(*files)


def test_a_full_disk_leaves_the_old_content(machine: Machine, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    path = tmp_path / "f"
    path.write_text("old")
    (change,) = machine.plan(a_file(path)).changes()
    text = change.commands.replace(f"head -c 7 > {tmp_path}/.f.kb-new", "head -c 7 > /dev/full")
    assert text != change.commands
    done = list(LocalConnection().run(f"( set -e\n{text}\n) 2>&1; echo rc=$?", payload=(b"wanted\n",)).lines())
    assert done[-1] == b"rc=1"
    assert path.read_text() == "old"


def test_what_one_change_would_eat_is_not_the_others(machine: Machine, tmp_path: Path) -> None:
    """A package's script that reads its standard input must not swallow the files that follow."""
    plan = machine.plan(a_file(tmp_path / "a", b"old"))
    machine.apply(plan)
    plan = machine.plan(Directory(name=str(tmp_path / "d"), owner=ME), a_file(tmp_path / "a", b"new content"))
    stage = plan.stages[0]
    first, *rest = stage.hosts[0].changes
    greedy = type(first)(**{**{name: getattr(first, name) for name in first.__slots__}, "commands": f"cat > {tmp_path}/eaten\n{first.commands}"})
    machine.apply(Plan(stages=(type(stage)(name=stage.name, hosts=(type(stage.hosts[0])(host="local", changes=(greedy, *rest)),)),)))
    assert (tmp_path / "eaten").read_bytes() == b""
    assert (tmp_path / "a").read_bytes() == b"new content"


@pytest.mark.parametrize("wanted", [0o755, 0o700, 0o2755, 0o1777])
def test_a_directory_gets_its_mode_below_any_parent(machine: Machine, tmp_path: Path, wanted: int) -> None:
    tmp_path.chmod(0o2755)  # its setgid bit is inherited
    path = tmp_path / "a" / "b c"
    machine.up(Directory(name=str(path.parent), owner=ME), Directory(name=str(path), owner=ME, mode=wanted))
    assert mode(path) == wanted
    path.chmod(0o6777)
    machine.up(Directory(name=str(path), owner=ME, mode=wanted))
    assert mode(path) == wanted


def test_a_link_to_a_directory_is_the_administrators_choice(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "other disk"
    data.mkdir(mode=0o700)
    (data / "db").write_text("precious")
    (tmp_path / "etcd").symlink_to(data)
    machine.up(Directory(name=str(tmp_path / "etcd"), owner=ME, mode=0o750))
    assert (tmp_path / "etcd").is_symlink()
    assert (mode(data), (data / "db").read_text()) == (0o750, "precious")


def test_a_file_in_place_of_a_directory_is_kept_aside(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text("theirs")
    (change,) = machine.up(Directory(name=str(path), owner=ME))
    assert change.reason == "is a regular file, want a directory"
    assert path.is_dir()
    assert Path(ledger_of.backup(str(path))).read_text() == "theirs"


def test_a_deleted_directory_comes_back_with_its_files(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    wanted = (Directory(name=str(folder), owner=ME), a_file(folder / "f"), a_file(folder / "g"))
    machine.up(*wanted)
    for path in (folder / "f", folder / "g"):
        path.unlink()
    folder.rmdir()
    assert [c.key for c in machine.up(*wanted)] == [str(folder), str(folder / "f"), str(folder / "g")]
