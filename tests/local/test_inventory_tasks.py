"""The inventory's tasks as the user runs them, in an empty working directory: output, files, exit codes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.store import inventory_files
from kbootstrap.tasks import inventory as tasks

BAD = "cluster: lab\nkubernetes: 1.30\nhosts:\n  masters:\n    m1: {address: 10.0.0.1}\n    m1: {address: 10.0.0.1}\n    m2: {adress: 10.0.0.2}\n"
VAGRANT = """\
Host m1
  HostName 127.0.0.1
  User vagrant
  Port 2222
  IdentityFile /home/u/key

"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KB_CLUSTER", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def vagrant_stays_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vagrant is installed it neither writes to the user's home nor asks its maker for news."""
    aside = tmp_path_factory.mktemp("vagrant")
    monkeypatch.setenv("VAGRANT_HOME", str(aside / "home"))
    monkeypatch.setenv("VAGRANT_DOTFILE_PATH", str(aside / "dot"))
    monkeypatch.setenv("VAGRANT_CHECKPOINT_DISABLE", "1")


def write(name: str, text: str) -> Path:
    path = Path("inventory") / name / "cluster.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_new_then_check_then_load(capsys: pytest.CaptureFixture[str]) -> None:
    tasks.new(Context(), name="lab", masters="10.0.0.11,10.0.0.12,10.0.0.13", workers="10.0.0.21,10.0.0.11", user="kb", key="ssh/id")
    Path("inventory/lab/ssh").mkdir()
    Path("inventory/lab/ssh/id").touch()
    assert capsys.readouterr().out == "wrote inventory/lab/cluster.yml; next: `invoke inventory.trust --cluster lab`\n"
    tasks.check(Context())
    assert capsys.readouterr().out == "inventory/lab/cluster.yml: good, 3 masters, 2 workers, Kubernetes 1.36.3\n"
    spec = inventory.load(Path("inventory/lab/cluster.yml"))
    assert spec.host("m1").ssh.key == Path("inventory/lab/ssh/id")


def test_new_never_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("lab", "mine\n")
    with pytest.raises(Exit) as caught:
        tasks.new(Context(), name="lab", masters="10.0.0.1", workers="10.0.0.2")
    assert caught.value.code == 2
    assert path.read_text() == "mine\n"
    assert "inventory/lab/cluster.yml exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "masters", "message"),
    [
        ("lab", "10.0.0.1,10.0.0.2", "masters: 2 given; etcd needs an odd number (1, 3, 5)"),
        ("../lab", "10.0.0.1", "'../lab' cannot be a cluster's name"),
        ("", "10.0.0.1", "'' cannot be a cluster's name"),
        ("Lab", "10.0.0.1", "cluster: Lab: a name has up to 63 of a-z"),
        ("lab", "m1;x=10.0.0.1", "m1;x: a hostname has a-z"),
    ],
)
def test_new_refuses_and_writes_nothing(name: str, masters: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        tasks.new(Context(), name=name, masters=masters)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_check_shows_every_problem_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    write("lab", BAD)
    with pytest.raises(Exit) as caught:
        tasks.check(Context())
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split()[0] for line in shown.err.splitlines()[1:]] == [
        f"inventory/lab/cluster.yml:{place}" for place in ("2:13", "3:1", "4:3", "6:5", "7:5", "7:10")
    ]
    assert shown.err.splitlines()[0] == "error: inventory/lab/cluster.yml has 5 problems; nothing was contacted"


KEYS = """\
cluster: lab
kubernetes: "1.36.3"
ssh: {key: nowhere/id, bastion: {host: jump, key: here/id}}
hosts:
  masters:
    m1: {address: 10.0.0.1}
    m2: {address: 10.0.0.2, ssh: {key: here}}
    m3: {address: 10.0.0.3, ssh: {key: in-agent}}
  workers:
    w1: {address: 10.0.0.4}
"""


def test_check_looks_whether_the_keys_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write("lab", KEYS).parent
    (folder / "here").mkdir()
    (folder / "here" / "id").touch()
    (folder / "in-agent.pub").touch()
    with pytest.raises(Exit) as caught:
        tasks.check(Context())
    assert caught.value.code == 2
    _, *lines = capsys.readouterr().err.splitlines()
    assert [line.strip().partition(". Name")[0] for line in lines] == [
        "inventory/lab/cluster.yml:3:7  ssh.key: inventory/lab/nowhere/id does not exist",
        "inventory/lab/cluster.yml:7:35  ssh.key: inventory/lab/here is no file",
    ]
    (folder / "here" / "id").unlink()
    with pytest.raises(Exit):
        tasks.check(Context())
    assert "inventory/lab/cluster.yml:3:46  bastion.key: inventory/lab/here/id does not exist." in capsys.readouterr().err


def test_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    write("lab", BAD)
    with pytest.raises(Exit) as caught:
        tasks.check(Context(), json=True)
    assert caught.value.code == 2
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False
    assert shown["problems"][0] == {
        "where": "inventory/lab/cluster.yml:2:13",
        "severity": "error",
        "what": "kubernetes: 1.30 is the number 1.3 in YAML",
        "hint": 'Write "1.30".',
    }
    assert [each["severity"] for each in shown["problems"]].count("warning") == 1


def test_a_warning_is_shown_and_does_not_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    tasks.new(Context(), name="lab", masters="10.0.0.1")
    capsys.readouterr()
    tasks.check(Context())
    shown = capsys.readouterr()
    assert "warning: workers: none given" in shown.err
    assert "good, 1 master, 0 workers" in shown.out


def test_show_says_where_each_value_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    write("lab", 'cluster: lab\nkubernetes: "1.36.3"\nssh: {user: kb}\nhosts: {masters: {m1: {address: 10.0.0.1}}}\n')
    tasks.show(Context(), host="m1")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ssh.user", "kb", "cluster", "inventory/lab/cluster.yml:3:7"] in rows
    assert ["ssh.port", "22", "default"] in rows
    tasks.show(Context(), host="m1", json=True)
    assert {"setting": "address", "value": "10.0.0.1", "from": "host inventory/lab/cluster.yml:4:24"} in json.loads(capsys.readouterr().out)
    tasks.show(Context())
    assert capsys.readouterr().out.endswith("\nm1  10.0.0.1  master\n")


def test_show_names_the_hosts_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    tasks.new(Context(), name="lab", masters="10.0.0.1", workers="10.0.0.2")
    with pytest.raises(Exit) as caught:
        tasks.show(Context(), host="m9")
    assert caught.value.code == 2
    assert "has no host m9\n  It has m1, w1." in capsys.readouterr().err


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    tasks.schema(Context())
    assert "hosts" in json.loads(capsys.readouterr().out)["properties"]


def test_from_vagrant_with_a_file_and_with_the_command(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "config").write_text(VAGRANT)
    tasks.from_vagrant(Context(), name="a", file="config")
    (here / "vagrant").mkdir()
    command = here / "bin" / "vagrant"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\ncat ../config\n")  # the real command needs a hypervisor
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    tasks.from_vagrant(Context(), name="b")
    first, second = (Path(f"inventory/{name}/cluster.yml").read_text() for name in "ab")
    assert second == first.replace("cluster: a", "cluster: b").replace("--cluster a", "--cluster b")
    assert str(inventory.load(Path("inventory/a/cluster.yml")).host("m1").address) == "192.168.56.11"


def test_from_vagrant_without_machines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "vagrant").mkdir()
    with pytest.raises(Exit) as caught:
        tasks.from_vagrant(Context(), folder="vagrant", file="")
    assert caught.value.code == 2
    assert "`vagrant ssh-config` failed" in capsys.readouterr().err


def test_from_ansible(here: Path) -> None:
    (here / "hosts").write_text("[masters]\nm1 ansible_host=10.0.0.1\n[workers]\nw1 ansible_host=10.0.0.2\n")
    tasks.from_ansible(Context(), file="hosts", name="lab")
    assert [host.name for host in inventory.load(Path("inventory/lab/cluster.yml")).hosts] == ["m1", "w1"]


def test_replacing_keeps_mode_and_link_and_leaves_nothing_behind(here: Path) -> None:
    target, link = here / "real", here / "known_hosts"
    target.write_text("old\n")
    target.chmod(0o640)
    link.symlink_to(target)
    inventory_files.replace_text(link, "new\n")
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(path.name for path in here.iterdir()) == ["known_hosts", "real"]


def test_the_vagrantfile_is_ruby_that_vagrant_reads() -> None:
    folder = Path(__file__).parents[2] / "vagrant"
    which = subprocess.run(["which", "vagrant"], capture_output=True, text=True, check=False).stdout.strip()
    if not which:
        pytest.skip("vagrant is not installed (Debian package vagrant)")
    done = subprocess.run([which, "validate", "--ignore-provider"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Vagrantfile validated successfully." in done.stdout
