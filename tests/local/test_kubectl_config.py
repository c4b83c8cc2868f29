"""The user's own kubeconfigs on a real disk: found as kubectl finds them, locked as kubectl locks them, whole at every moment of a kill."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap import kubeconfig
from kbootstrap.errors import LockError, UsageError
from kbootstrap.kubeconfig import Edited
from kbootstrap.store import kubectl_config
from kbootstrap.store.kubectl_config import Files, change, find
from tests.kubeconfigs import OURS, OWNER

THEIRS = "# mine\napiVersion: v1\ncontexts: [{name: theirs, context: {cluster: c, user: u}}]\ncurrent-context: theirs\n"
OURSELVES = "kubernetes-admin@lab-m1"
kubectl_here = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl, which only a user's machine must have")


def merged(texts: Sequence[str]) -> Edited:
    return kubeconfig.merge_all(texts, OURS)


def removed(texts: Sequence[str]) -> Edited:
    return kubeconfig.remove(texts, owners={OWNER})


def contexts(path: Path) -> list[str]:
    while not (text := path.read_text()):  # kubectl empties a file before it fills it
        time.sleep(0.005)
    return [entry["name"] for entry in yaml.safe_load(text)["contexts"]]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubectl_config, "_LINGER_S", 0.0)


@pytest.fixture
def found(tmp_path: Path, hasty: None) -> Files:
    path = tmp_path / "kube" / "config"
    path.parent.mkdir(mode=0o700)
    path.write_text(THEIRS)
    path.chmod(0o640)
    return find(str(path))


@pytest.mark.parametrize(
    ("there", "listed", "paths", "home"),
    [
        ("", "", [".kube/config"], ".kube/config"),
        ("", "a", ["a"], "a"),
        ("", "a:b", ["a", "b"], "b"),
        ("a b", "a:b", ["a", "b"], "a"),
        ("b", "a:b:c", ["a", "b", "c"], "b"),
        ("b", ":a::b:a", ["a", "b"], "b"),
    ],
)
def test_a_new_entry_goes_where_kubectl_puts_it(
    *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, listed: str, paths: list[str], home: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in there.split():
        (tmp_path / name).write_text(THEIRS)
    variable = ":".join(name and str(tmp_path / name) for name in listed.split(":"))
    seen = find(environment={"KUBECONFIG": variable} if listed else {})
    assert seen == Files(paths=tuple(tmp_path / name for name in paths), home=tmp_path / home)
    if shutil.which("kubectl"):
        environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": variable if listed else ""}
        subprocess.run(["kubectl", "config", "set-cluster", "new"], env=environment, check=True, capture_output=True)
        assert "name: new" in (tmp_path / home).read_text()


def test_the_name_of_old_is_taken_over_as_kubectl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hasty: None) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/.kubeconfig").write_text(THEIRS)
    change(find(environment={}), merged, command="test")
    assert contexts(tmp_path / ".kube/config")[:2] == ["theirs", OURSELVES]


TEXTS = ("y", "1e3", "0o14", "0x1f", "no", "~", "1:30", "1_000", "2001-01-01", "a: b", "- x", "#", "é", "\U0001f980", " x ", "x\\ny", "=", "<<", "")
PLAIN = ("1:30", "2001-01-01", "=", "<<", "é", "x y", "a-b", "x#y")  # a bare y or 1e3 is a truth or a number to kubectl, which refuses the file


@kubectl_here
@pytest.mark.parametrize("style", ['"', "'", "plain", "json"])
def test_kubectl_reads_everybody_elses_entries_as_before(found: Files, style: str) -> None:
    if style == "plain":  # as somebody types it: PyYAML takes some of these for numbers and dates
        text = "users:\n" + "".join(f"- name: u{n}\n  user: {{token: {word}}}\n" for n, word in enumerate(PLAIN))
    else:
        document = {"users": [{"name": f"u{n}", "user": {"token": word, "username": word}} for n, word in enumerate(TEXTS)]}
        text = json.dumps(document, ensure_ascii=False) if style == "json" else yaml.safe_dump(document, default_style=style, allow_unicode=True)
    found.home.write_text(text)

    def view() -> Any:
        argv = ["kubectl", "--kubeconfig", str(found.home), "config", "view", "--raw", "-o", "json"]
        return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)["users"]

    before = view()
    assert len(before) >= len(PLAIN)
    change(found, merged, command="test")
    assert [user for user in view() if user in before] == before
    assert len(view()) == len(before) + 1
    change(found, removed, command="test")
    assert view() == before


def test_a_variable_that_names_nothing_is_said() -> None:
    with pytest.raises(UsageError, match="KUBECONFIG names no file"):
        find(environment={"KUBECONFIG": ":"})


def test_mode_and_content_until_now_stay(found: Files) -> None:
    edited, written = change(found, merged, command="test")
    assert (edited.entries, written) == (7, found.paths)
    assert found.home.stat().st_mode & 0o777 == 0o640
    keep = found.home.with_name("config.previous")
    assert (keep.read_text(), keep.stat().st_mode & 0o777) == (THEIRS, 0o600)
    assert change(found, merged, command="test")[1] == ()
    assert contexts(found.home) == ["theirs", *(f"kubernetes-admin@lab-m{n}" for n in (1, 2, 3))]
    assert sorted(p.name for p in found.home.parent.iterdir()) == ["config", "config.previous"]


def test_a_new_file_and_its_folder_are_closed_to_others(tmp_path: Path, hasty: None) -> None:
    path = tmp_path / "new" / "config"
    change(find(str(path)), merged, command="test")
    assert [p.stat().st_mode & 0o777 for p in (path.parent, path)] == [0o700, 0o600]
    assert path.read_text() == OURS


def test_a_symlink_stays_one_and_both_its_names_are_locked(found: Files, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(found.home)
    change(find(str(link)), merged, command="test")
    assert link.is_symlink()
    assert OURSELVES in contexts(found.home)
    for name in (link, found.home):
        lock = name.with_name(f"{name.name}.lock")
        lock.touch(mode=0)
        with pytest.raises(LockError):
            change(find(str(link)), removed, command="test", patience_s=0.05)
        lock.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_stays_the_owner(found: Files) -> None:
    os.chown(found.home, 12345, 12346)
    change(found, merged, command="test")
    for name in ("config", "config.previous"):
        seen = found.home.with_name(name).stat()
        assert (seen.st_uid, seen.st_gid) == (12345, 12346)


def test_a_foreign_lock_is_waited_for_named_and_never_removed(found: Files) -> None:
    lock = found.home.with_name("config.lock")
    lock.touch(mode=0)
    with pytest.raises(LockError) as caught:
        change(found, merged, command="test", patience_s=0.1)
    assert str(lock) in caught.value.message
    assert f"rm {lock}" in caught.value.hint
    assert lock.exists()
    assert found.home.read_text() == THEIRS
    threading.Timer(0.2, lock.unlink).start()
    change(found, merged, command="test")
    assert not lock.exists()


def test_two_of_us_wait_for_each_other(found: Files) -> None:
    began = threading.Event()

    def slow(texts: Sequence[str]) -> Edited:
        began.set()
        time.sleep(0.3)
        return merged(texts)

    other = threading.Thread(target=lambda: change(found, slow, command="the first"))
    other.start()
    began.wait(5)
    with pytest.raises(LockError, match=f"pid {os.getpid()}, the first"):
        change(found, removed, command="test", patience_s=0.05)
    assert change(found, removed, command="test")[0].entries == 7
    other.join()


@pytest.mark.parametrize(("content", "message"), [(b"a: [", "config: The kubeconfig is not YAML"), (b"\xff", "config: the kubeconfig is not UTF-8")])
def test_a_broken_file_is_named_and_left(found: Files, content: bytes, message: str) -> None:
    found.home.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        change(found, merged, command="test")
    assert found.home.read_bytes() == content
    assert [p.name for p in found.home.parent.iterdir()] == ["config"]


def test_devices_and_folders_are_never_renamed_over(tmp_path: Path) -> None:
    for path in (Path("/dev/null"), tmp_path):
        with pytest.raises(UsageError, match="no regular file"):
            change(find(str(path)), merged, command="test")
    assert Path("/dev/null").is_char_device()


def in_a_child(work: Callable[[], Any]) -> int:
    """The pid of a fork that does *work* and ends with 0, or 1 for an error."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def test_a_kill_before_any_system_call_leaves_the_old_file_or_the_new(found: Files) -> None:
    folder, new = str(found.home.parent), merged([THEIRS]).texts[0]
    steps = 0
    while True:
        found.home.write_text(THEIRS)
        wanted = steps

        def work(wanted: int = wanted) -> None:
            left = [wanted]

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                if event.startswith(("open", "os.")) and any(isinstance(a, str | os.PathLike) and folder in str(a) for a in arguments):
                    if not left[0]:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left[0] -= 1

            sys.addaudithook(hook)
            change(found, merged, command="test")

        status = os.waitpid(in_a_child(work), 0)[1]
        assert found.home.read_text() in {THEIRS, new}
        change(found, merged, command="test", patience_s=2)
        assert found.home.read_text() == new
        assert sorted(p.name for p in found.home.parent.iterdir()) == ["config", "config.previous"]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        steps += 1
    assert steps >= 12, "it was killed before each of its system calls"


def test_a_kill_at_any_moment_leaves_a_whole_file_and_no_lock_that_stays(found: Files) -> None:
    found.home.write_text(removed([merged([THEIRS]).texts[0]]).texts[0])
    both = {found.home.read_text(), merged([found.home.read_text()]).texts[0]}

    def work() -> None:
        while True:
            change(found, merged, command="test", patience_s=2)
            change(found, removed, command="test", patience_s=2)

    for _ in range(60):
        pid = in_a_child(work)
        time.sleep(random.uniform(0, 0.05))  # noqa: S311  a moment, no secret
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), "it failed by itself"
        assert found.home.read_text() in both


@kubectl_here
def test_beside_a_busy_kubectl_no_write_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(THEIRS)
    landed, refused, undone = list[str](), list[str](), 0

    def busy() -> None:
        for number in range(40):
            name = f"c{number}"
            argv = ["kubectl", "--kubeconfig", str(path), "config", "set-context", name, "--cluster=c", "--user=u"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
            (refused if done.returncode else landed).append(name)
            assert not done.returncode or ".lock" in done.stderr, done.stderr

    other, ours = threading.Thread(target=busy), 0
    other.start()
    while other.is_alive():
        for edit, expected in ((merged, True), (removed, False)):
            change(find(str(path)), edit, command="test", patience_s=30)
            time.sleep(0.1)
            undone += (OURSELVES in contexts(path)) is not expected
            ours += 1
    other.join()
    assert set(landed) <= set(contexts(path))
    assert not set(refused) & set(contexts(path))
    assert len(landed) + len(refused) == 40
    assert landed
    assert undone * 4 < ours, "a kubectl that was stopped for long between its reading and its lock undoes ours; not more often"
