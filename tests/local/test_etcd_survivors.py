"""Which survivor is taken for the newest, asked of real members of etcd on the loopback, as a lost quorum, a reboot or a kill leaves them."""

from __future__ import annotations

import base64
import json
import platform
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kbootstrap.catalog import ports
from kbootstrap.catalog.releases import default_versions
from kbootstrap.engine import etcd_recover
from kbootstrap.engine.prepared import Prepared
from kbootstrap.model.cluster import Artifacts
from kbootstrap.model.desired import Desired
from kbootstrap.model.pki import Pki
from kbootstrap.remote.connection import Stream
from kbootstrap.remote.local import LocalStream
from kbootstrap.remote.pool import Pool
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store import artifacts
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import State
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost
from tests.local.conftest import free_port

NAMES = ("m1", "m2", "m3", "m4")  # two of four are no quorum
BIG, MANY = 100_000, 40


@pytest.fixture(scope="module")
def etcd() -> Path:
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    return artifacts.fetch(["etcd"], default_versions(""), arch, Artifacts())["etcd"].path


@dataclass(kw_only=True)
class Member(FakeHost):
    """A host whose etcd is a real process; of systemd it knows what the search for survivors asks."""

    argv: list[str] = field(default_factory=list)
    client: int = 0
    metrics: int = 0
    data: Path = Path()
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.scripts.append(self._systemd)

    def start(self) -> None:
        with (self.data.parent / f"{self.host}.log").open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
        if port != ports.ETCD_METRICS.number or self.process is None:
            return super().dial(address, port, timeout_s=timeout_s)
        try:
            return LocalStream(socket.create_connection((address, self.metrics), timeout=timeout_s))
        except OSError:
            return super().dial(address, port, timeout_s=timeout_s)

    def ask(self, path: str, **body: str | int | bool) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.client}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  http, as it says
            answer.read()

    def put(self, key: str, size: int) -> None:
        self.ask("kv/put", key=base64.b64encode(key.encode()).decode(), value=base64.b64encode(b"x" * size).decode())

    @property
    def db_bytes(self) -> int:
        file = self.data / "member/snap/db"
        return file.stat().st_size if file.exists() else 0

    def _systemd(self, program: str, _: bytes) -> Answer | None:
        if program.startswith("ls "):
            said = f"data {self.db_bytes} {int(self.process is not None)}" if self.db_bytes else "empty"
            return Answer(stdout=said.encode() + b"\n")
        if program.startswith("systemctl start"):
            assert self.db_bytes, "a member without data began anew"
            self.start()
        return None


@pytest.fixture
def members(etcd: Path, tmp_path: Path) -> Iterator[dict[str, Member]]:
    """Four that serve."""
    at = {name: (free_port(), free_port(), free_port()) for name in NAMES}
    cluster = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, (_, peer, _) in at.items())
    made: dict[str, Member] = {}
    for name, (client, peer, metrics) in at.items():
        urls = {"client": f"http://127.0.0.1:{client}", "peer": f"http://127.0.0.1:{peer}", "metrics": f"http://127.0.0.1:{metrics}"}
        flags = [f"--listen-{what}-urls={url}" for what, url in urls.items()]
        flags += [f"--advertise-client-urls={urls['client']}", f"--initial-advertise-peer-urls={urls['peer']}", f"--initial-cluster={cluster}"]
        argv = [str(etcd), f"--name={name}", f"--data-dir={tmp_path / name}", *flags]
        made[name] = Member(host=name, argv=argv, client=client, metrics=metrics, data=tmp_path / name)
    try:
        for member in made.values():
            member.start()
        eventually(lambda: made["m3"].put("first", 1))
        yield made
    finally:
        for member in made.values():
            member.end()


def eventually(work: Callable[[], None]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            return work()
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < end
            time.sleep(0.2)


def lost_behind(members: dict[str, Member], how: signal.Signals) -> int:
    """m1 and m2 lose their disks; m4 went before the last writes, and its file is the larger one. The revision that m3 has."""
    m3, m4 = members["m3"], members["m4"]
    for number in range(MANY):
        m3.put(f"big/{number}", BIG)
    eventually(lambda: m4.put("seen", 1))  # it has all up to here
    m4.end(how)
    eventually(lambda: m3.ask("kv/deleterange", key=base64.b64encode(b"big/").decode(), range_end=base64.b64encode(b"big0").decode()))
    revision = 1 + MANY + 1 + 1 + 1  # as etcd counts: it begins with 1
    m3.ask("kv/compaction", revision=revision, physical=True)
    m3.ask("maintenance/defragment")
    for name in ("m1", "m2"):
        members[name].end()
        (members[name].data / "member/snap/db").unlink()
    return revision


def searched(members: dict[str, Member]) -> Prepared:
    spec = a_cluster(len(NAMES), 0)
    world = World(spec=spec, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    folder, state, desired = Folder(root=Path("inventory/lab")), State(cluster_id="ours"), Desired(hosts={})
    return Prepared(folder=folder, spec=spec, state=state, pki=Pki(), issued=(), world=world, desired=desired)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_of_two_that_were_restarted_the_newest_wins_though_the_other_is_larger(members: dict[str, Member], how: signal.Signals) -> None:
    revision = lost_behind(members, how)
    m3, m4 = members["m3"], members["m4"]
    m3.end(how)
    assert m3.db_bytes < m4.db_bytes
    prepared = searched(members)
    with Pool(prepared.spec.hosts, lambda host: members[host.name]) as pool:
        (newest, other), done = etcd_recover.choose(prepared, pool)
    assert (newest.host, newest.revision) == ("m3", revision)
    assert other.host == "m4"
    assert 0 < other.revision < revision
    assert "started on m3, m4 and stopped on m1, m2" in done
