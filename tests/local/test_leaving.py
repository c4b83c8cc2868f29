"""The steps that work on files, run for real: what was ours goes, what was not comes back or stays, and a second run changes nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths, traces
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Directory
from kbootstrap.plan import before
from kbootstrap.plan.leaving import leave
from kbootstrap.plan.ledger import Ledger, record

OWNER = f"{os.getuid()}:{os.getgid()}"
STEPS = ("leave/files", "leave/data", "leave/directories")


def run(entries: dict[str, tuple[str, Any]]) -> str:
    """The steps on files for a ledger of key → (kind, before), as the engine runs them; what they say."""
    ledger = Ledger(cluster_id="id", entries={key: {"kind": kind, "before": was} for key, (kind, was) in entries.items()})
    said = ""
    for change in leave("m1", ledger, sysctl="leave").changes:
        if change.key in STEPS:
            done = subprocess.run(["sh", "-s"], input=f"set -e\n{change.commands}", capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, f"{change.key}: {done.stdout}{done.stderr}"
            said += done.stdout
    return said


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p.relative_to(root)): (p.lstat().st_mode, p.read_bytes() if p.is_file() else b"") for p in sorted(root.rglob("*"))}


def test_a_file_of_somebody_else_comes_back_byte_for_byte(tmp_path: Path) -> None:
    there, copy = tmp_path / "config with blank", tmp_path / "backup"
    copy.write_bytes(b"\x00theirs\n")
    copy.chmod(0o604)
    there.write_text("ours")
    (tmp_path / ".config with blank.kb-new").write_text("half")
    for _ in range(2):
        run({str(there): ("file", str(copy))})
        assert (there.read_bytes(), there.stat().st_mode & 0o7777) == (b"\x00theirs\n", 0o604)
    assert copy.exists()
    assert not (tmp_path / ".config with blank.kb-new").exists()


def test_a_link_and_a_directory_come_back_too(tmp_path: Path) -> None:
    for name in ("link", "folder"):
        (tmp_path / name).write_text("ours")
    (tmp_path / "was-link").symlink_to("/nowhere")
    (tmp_path / "was-folder").mkdir()
    (tmp_path / "was-folder/inside").write_text("theirs")
    run({str(tmp_path / name): ("file", str(tmp_path / f"was-{name}")) for name in ("link", "folder")})
    assert str((tmp_path / "link").readlink()) == "/nowhere"
    assert (tmp_path / "folder/inside").read_text() == "theirs"


def test_a_file_whose_copy_was_never_made_was_never_replaced_either(tmp_path: Path) -> None:
    there = tmp_path / "config"
    there.write_text("still theirs")
    run({str(there): ("file", str(tmp_path / "no-copy"))})
    assert there.read_text() == "still theirs"


def test_data_goes_with_its_directory_and_what_was_in_one_before_stays(tmp_path: Path) -> None:
    (tmp_path / "etcd/member").mkdir(parents=True)
    old = tmp_path / "kubelet"
    for name in ("pods", "keep", "star*", "starred", "-n"):
        (old / name).mkdir(parents=True)
    was = {"mode": "0711", "owner": OWNER, "names": ["keep", "star*", "-n"]}
    run({f"data/{tmp_path}/etcd": ("data", None), f"data/{old}": ("data", was), f"data/{tmp_path}/never": ("data", None)})
    assert not (tmp_path / "etcd").exists()
    assert sorted(path.name for path in old.iterdir()) == ["-n", "keep", "star*"]
    assert old.stat().st_mode & 0o7777 == 0o711


def test_what_a_worker_gets_to_keep_as_it_becomes_a_master_is_data_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, pods, data, disk = (tmp_path / name for name in ("host.json", "kubelet", "etcd", "log"))
    monkeypatch.setattr(paths, "LEDGER", str(place))
    monkeypatch.setattr(traces, "FILLED", (str(pods), str(data), str(disk)))
    monkeypatch.setattr(traces, "MADE", ())
    monkeypatch.setattr(traces, "SYSCTLS", ())
    ledger, seen = Ledger(cluster_id="id"), {}
    for step, directories in enumerate(((pods,), (pods, data, disk), (pods, data, disk))):
        resources = tuple(Directory(name=str(path)) for path in directories)
        text = before.probe(Desired(hosts={"w1": {"HOSTS": Wanted(resources=resources)}}), "w1").replace("command -v nft", "false")
        done = subprocess.run(["sh", "-s"], input=text, capture_output=True, text=True, timeout=30, check=True)
        assert not done.stderr
        seen[step] = before.parse(done.stdout)
        changes = [Change(host="w1", key=each.key, action=Action.CREATE, reason="", commands="", resource=each) for each in resources]
        ledger = record(ledger, changes, Observed(host="w1", facts=Facts(), kinds={"before": seen[step]}))
        place.write_bytes(ledger.dump())
        for path in directories:
            path.mkdir(exist_ok=True)
            (path / "ours").write_text("secret")
        if not step:
            disk.mkdir()
            (disk / "lost+found").mkdir()
    assert [list(found) for found in seen.values()] == [[f"data/{pods}"], [f"data/{data}", f"data/{disk}"], []]
    run({key: (entry["kind"], entry["before"]) for key, entry in ledger.entries.items()})
    assert tree(tmp_path).keys() == {"host.json", "log", "log/lost+found"}


def test_a_directory_of_ours_that_holds_what_is_not_ours_stays_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/theirs").write_text("x")
    entries: dict[str, tuple[str, Any]] = {str(tmp_path / name): ("directory", None) for name in ("a", "a/b")}
    for _ in range(2):
        assert run(entries) == f"stays {tmp_path}/a, which holds what is not ours\n"
    assert tree(tmp_path).keys() == {"a", "a/theirs"}


def test_a_directory_that_was_there_gets_its_mode_back_and_one_in_the_place_of_a_file_gives_it_back(tmp_path: Path) -> None:
    (tmp_path / "was").mkdir(mode=0o755)
    (tmp_path / "replaced").mkdir()
    (tmp_path / "copy").write_text("a file")
    run({
        str(tmp_path / "was"): ("directory", {"mode": "0750", "owner": OWNER}),
        str(tmp_path / "replaced"): ("directory", str(tmp_path / "copy")),
    })  # fmt: skip
    assert (tmp_path / "was").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "replaced").read_text() == "a file"


def proof(entries: dict[str, tuple[str, Any]]) -> tuple[int, list[str]]:
    """The last step alone: its exit code, and what it says is left."""
    ledger = Ledger(cluster_id="id", entries={key: {"kind": kind, "before": was} for key, (kind, was) in entries.items()})
    change = leave("m1", ledger, sysctl="all").changes[-1]
    assert change.key == "leave/proof"
    done = subprocess.run(["sh", "-s"], input=f"set -e\n{change.commands}", capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()[1:]


def test_the_proof_finds_whatever_is_left_and_what_did_not_come_back_as_it_was(tmp_path: Path) -> None:
    here, copies = tmp_path / "here", tmp_path / "copies"
    for folder in (here, copies, here / "empty", here / "theirs", here / "data"):
        folder.mkdir()
    for name in ("changed", "mode", "fine", "link"):
        (copies / name).write_text("theirs")
        (here / name).write_text("theirs")
    (here / "changed").write_text("others")
    (here / "mode").chmod(0o600)
    (copies / "mode").chmod(0o640)
    (copies / "link").unlink()
    (copies / "link").symlink_to("/nowhere")
    (here / "file left").write_text("")
    (here / "dangling").symlink_to("/nowhere")
    (here / "theirs/file").write_text("")
    (here / "data/known*").write_text("")
    (here / "data/known").write_text("")
    entries: dict[str, tuple[str, Any]] = {str(here / name): ("file", None) for name in ("file left", "dangling", "gone")}
    entries |= {str(here / name): ("file", str(copies / name)) for name in ("changed", "mode", "fine", "link")}
    entries |= {str(here / name): ("directory", None) for name in ("empty", "theirs", "nowhere")}
    entries |= {f"data/{here}/data": ("data", {"mode": "0755", "owner": OWNER, "names": ["known*"]})}
    entries |= {"user/root": ("user", None), "sysctl/kernel.ostype": ("sysctl", "Minix")}
    code, left = proof(entries)
    assert (code, left) == (
        1,
        sorted([
            f"{here}/changed is not what it was",
            f"{here}/link is not what it was",
            f"{here}/mode is not what it was",
            f"directory {here}/empty",
            f"file {here}/dangling",
            f"file {here}/data/known",
            f"file {here}/file left",
            "setting /proc/sys/kernel/ostype is Linux, was Minix",
            "user root",
        ]),
    )  # fmt: skip
    assert proof({str(here / "gone"): ("file", None), str(here / "fine"): ("file", str(copies / "fine"))}) == (0, [])


def test_the_proof_finds_a_program_of_ours_that_runs_although_its_file_is_gone(tmp_path: Path) -> None:
    program = tmp_path / "kubelet"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([str(program), "60"]) as running:
        try:
            program.unlink()
            assert proof({str(program): ("binary", None)}) == (1, [f"process {running.pid} {program} 60 "])
        finally:
            running.kill()
