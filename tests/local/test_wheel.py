"""``pip install .`` gives a ``kbootstrap`` command that needs no checkout: it plans a cluster with the roles and templates of the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RENDER = """
from ipaddress import IPv4Network
from pathlib import Path

import kbootstrap
from kbootstrap.catalog import releases
from kbootstrap.engine import prepare
from kbootstrap.model.resource import Blob, File
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store import assets
from kbootstrap.testing.builders import a_cluster, a_pki

places = [Path(kbootstrap.__file__), assets.folder("roles"), assets.folder("templates")]
assert all("site-packages" in place.parts for place in places), places
spec, blob = a_cluster(), Blob(sha256="0" * 64, size=1, path=Path("/dev/null"))
world = World(
    spec=spec,
    pki=a_pki(),
    renderer=Renderer((places[2],)),
    pod_ranges={host.name: IPv4Network(f"10.244.{number}.0/24") for number, host in enumerate(spec.hosts)},
    binaries={"amd64": dict.fromkeys(releases.binaries(), blob)},
    images={"amd64": {name: (name, blob) for name in releases.images()}},
)
desired = prepare.desire(world, prepare.roles(), world.pod_ranges)
print(sum(isinstance(r, File) for stage in desired.hosts["m1"].values() for r in stage.resources))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would give a newcomer: no caches, no builds, none of this checkout's clusters."""
    folder = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def python(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that sees the pinned dependencies of this one, and kbootstrap as pip installed it."""
    home = tmp_path_factory.mktemp("env")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    (site / "pinned.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install(home / "bin/python", source)
    return home / "bin/python"


def install(python: Path, source: Path) -> None:
    options = ["--quiet", "--no-deps", "--no-build-isolation"]
    uv = shutil.which("uv")
    argv = [uv, "pip", "install", "--offline", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "--no-index"]
    done = subprocess.run([*argv, *options, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def call(python: Path, *argv: str, where: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KB_"))}
    return subprocess.run([str(python.with_name("kbootstrap")), *argv], cwd=where, env=environment, capture_output=True, text=True, check=False)


def test_every_role_and_template_is_in_the_wheel(source: Path, tmp_path: Path) -> None:
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("kbootstrap-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"kbootstrap/_assets/{p.relative_to(source)}" for part in ("roles", "templates") for p in (source / part).rglob("*") if p.is_file()}
    wanted |= {str(p.relative_to(source)) for p in (source / "kbootstrap").rglob("*") if p.is_file()}
    assert len(wanted) > 100
    assert wanted <= inside
    assert not {name for name in inside if name.startswith(("tests", "roles", "inventory"))}


def test_the_command_lists_the_tasks_of_a_user(python: Path, tmp_path: Path) -> None:
    listed = call(python, "--list", where=tmp_path)
    assert listed.returncode == 0, listed.stderr
    for task in ("cluster.up", "inventory.new", "demo.up (demo)", "lab.up"):
        assert f"  {task} " in listed.stdout
    assert "types" not in listed.stdout, "the tasks of developers stay in the checkout"


def test_messages_name_the_command_that_is_installed(python: Path, tmp_path: Path) -> None:
    assert call(python, where=tmp_path).stdout == call(python, "--list", where=tmp_path).stdout
    wrong = call(python, "cluster.up", "--clutser", "x", where=tmp_path)
    said = "error: cluster.up has no option --clutser. Did you mean --cluster?\n  kbootstrap --help cluster.up\n"
    assert (wrong.returncode, wrong.stderr) == (2, said)
    assert "inventory.from_vagrant [--options]" in call(python, "--help", "inventory.from_vagrant", where=tmp_path).stdout


def test_a_cluster_is_described_and_checked(python: Path, tmp_path: Path) -> None:
    made = call(python, "inventory.new", "--name", "mine", "--masters", "10.0.0.11", "--workers", "10.0.0.21", where=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = call(python, "inventory.check", where=tmp_path)
    assert checked.stdout == "inventory/mine/cluster.yml: good, 1 master, 1 worker, Kubernetes 1.36.3\n"


def test_files_of_a_host_are_rendered_from_what_the_wheel_carries(python: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(python), "-c", RENDER], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
