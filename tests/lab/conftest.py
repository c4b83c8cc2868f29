"""Practice hosts for the tests: names that no other run uses, one lab of 3 + 2 that the whole session shares, and the cluster on it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from filelock import FileLock, Timeout

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.engine import prepare, run
from kbootstrap.engine.request import Request
from kbootstrap.errors import KbError
from kbootstrap.store import artifacts
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request
from tests.outcome import FAILED

_KUBECTL_DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster on practice hosts, worked as a user works it. It is a place: whether anything runs there is another question."""

    lab: labs.Lab

    @property
    def folder(self) -> Folder:
        return Folder(root=self.lab.folder)

    def request(self, **options: Any) -> Request:
        """What a task asks for; *options* are fields of ``Request`` (limit, only, deep, confirm, take_lock)."""
        with _request.open_(self.folder, quiet=True, ask=False, fd=-1, **options) as request:
            return request

    def plan(self, **options: Any) -> run.Outcome:
        return run.plan(self.request(**options))

    def up(self, **options: Any) -> run.Outcome:
        """``cluster.up --yes``, and every check of it holds."""
        try:
            outcome = run.up(self.request(**options))
        except KbError as error:
            error.add_note("\n".join(map(str, error.problems)))  # which a user sees, and a traceback does not show
            raise
        bad = [result for result in outcome.results if not result.ok]
        assert not bad, "\n".join(map(str, bad))
        return outcome

    def kubectl(self, *arguments: str, text: str = "", fails: bool = False) -> str:
        """The operator's kubectl with admin.conf, on the machine itself; *text* is its input. Returns its output, stderr too if it *fails*."""
        spec = inventory.load(self.folder.cluster_yml)
        binary = artifacts.fetch(["kubectl"], prepare.versions(spec), spec.hosts[0].arch, spec.artifacts)["kubectl"].path
        argv = [str(binary), f"--kubeconfig={self.folder.admin_conf}", *arguments]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=_KUBECTL_DEADLINE_S, check=False)
        assert (done.returncode != 0) is fails, f"kubectl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")


@contextmanager
def claimed(prefix: str) -> Iterator[str]:
    """A lab name for this run alone. What a run that was killed left under it is removed first, what this one made at the end."""
    place = Path(tempfile.gettempdir()) / "kbootstrap-tests"
    place.mkdir(exist_ok=True)
    for number in range(100):
        name = f"{prefix}{number:02d}"
        lock = FileLock(place / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        try:
            labs.down(name)
            yield name
        finally:
            labs.down(name)
            lock.release()
        return
    raise RuntimeError(f"all names {prefix}00 to {prefix}99 are in use")


@pytest.fixture(scope="session")
def lab_machine() -> None:
    """This machine can have lab hosts. Under CI=true a test that needs them is never skipped: what is missing then fails it."""
    if os.geteuid() and os.environ.get("CI") != "true":
        pytest.skip("lab hosts need root (namespaces, mounts)")


@pytest.fixture(scope="session")
def claim() -> Callable[[str], AbstractContextManager[str]]:
    """``with claim("kbtest") as name``: a lab name for this run alone, and no trace of it after."""
    return claimed


@pytest.fixture(scope="session")
def shared_lab(lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Lab]:
    """Three masters and two workers for every test of the session that does not need hosts of its own; left as a test left it."""
    with claimed("kbtest") as name:
        yield labs.up(name=name, inventory=tmp_path_factory.mktemp("inventory") / name)


@pytest.fixture(scope="session")
def of_lab() -> Callable[[labs.Lab], Cluster]:
    """``of_lab(lab)``: the cluster of a lab that a test made for itself; ``.up()`` brings it up."""
    return lambda lab: Cluster(lab=lab)


class OwnHosts(Protocol):
    """Hosts of a module's own, whose cluster is not up yet; ``with own_hosts("kbkill", masters=1, workers=1) as own``."""

    def __call__(self, prefix: str, *, masters: int, workers: int) -> AbstractContextManager[Cluster]: ...


@pytest.fixture(scope="session")
def own_hosts(lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> OwnHosts:
    """Their inventory lies below a folder ``inventory/``, as the command line wants it."""

    @contextmanager
    def make(prefix: str, *, masters: int, workers: int) -> Iterator[Cluster]:
        with claimed(prefix) as name:
            place = tmp_path_factory.mktemp(prefix) / "inventory" / name
            yield Cluster(lab=labs.up(name=name, masters=masters, workers=workers, inventory=place))

    return make


@pytest.fixture(scope="session")
def cluster(shared_lab: labs.Lab) -> Cluster:
    """The cluster on the shared lab, brought up once. Leave it whole: who breaks it calls ``cluster.up()`` at the end."""
    found = Cluster(lab=shared_lab)
    found.up()
    return found


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that failed half-way through a fault may leave the shared cluster broken: that is its failure alone, not that of all that follow."""
    yield
    if "cluster" in request.fixturenames and request.node.stash.get(FAILED, False):
        found = request.getfixturevalue("cluster")
        for host in found.lab.hosts:
            labs.crash(host)
            labs.boot(host)
        found.up()
