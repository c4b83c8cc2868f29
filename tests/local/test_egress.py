"""Offline: the process itself refuses to speak to anybody but the hosts, whichever library asks; what is missing is told at once."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.engine import offline, prepare
from kbootstrap.engine.contact import contact
from kbootstrap.errors import KbError, OfflineError
from kbootstrap.model.cluster import Artifacts
from kbootstrap.model.events import Event, Note
from kbootstrap.store import artifacts, egress, images
from kbootstrap.store.folder import Folder
from kbootstrap.store.late import httpx
from kbootstrap.tasks import artifacts as tasks

CLUSTER = """
cluster: lab
kubernetes: "1.36.3"
artifacts: {offline: true}
hosts: {masters: {m1: {address: 192.0.2.11, ssh: {host: 127.0.0.2}}}, workers: {w1: {address: 192.0.2.12, ssh: {host: localhost}}}}
"""


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    yield
    egress.confine(None)


@pytest.fixture
def server() -> Iterator[int]:
    with socket.create_server(("", 0)) as listening:  # every address of this machine stands for another host
        yield listening.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cluster.yml").write_text(CLUSTER)
    return Folder(root=tmp_path)


def test_hosts_are_spoken_to_and_counted_and_nobody_else(folder: Folder, server: int) -> None:
    spec = contact(folder).spec
    for address in ("127.0.0.2", "127.0.0.1", "127.0.0.2"):  # the second is where w1's name leads
        socket.create_connection((address, server), timeout=5).close()
    assert egress.counted() == {"127.0.0.2": 2, "127.0.0.1": 1}
    assert offline.proof(spec).startswith("offline: 3 connections, all to hosts of cluster.yml or on the way to them (2 addresses)")
    with pytest.raises(OfflineError, match=r"a connection to 127\.0\.0\.9 would leave the hosts"):
        socket.create_connection(("127.0.0.9", server), timeout=5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(OfflineError):
        datagrams.sendto(b"x", ("127.0.0.9", server))
    with pytest.raises(OfflineError):
        httpx.get(f"http://127.0.0.9:{server}/")
    with pytest.raises(OfflineError, match=r"the question where example\.org is"):
        urllib.request.urlopen("https://example.org/")
    assert sum(egress.counted().values()) == 3


@pytest.mark.parametrize(
    ("way", "config", "dialled"),
    [
        ("host: alias", "Host alias\n  HostName 127.0.0.7\n", "127.0.0.7"),
        ("host: alias", "Host alias\n  ProxyJump gate\nHost gate\n  HostName 127.0.0.7\n", "127.0.0.7"),
        ("host: 127.0.0.2", "Host 127.0.0.2\n  ProxyJump far@127.0.0.7:2222,near\n", "127.0.0.7"),
        ("host: 127.0.0.2, bastion: {host: gate, user: x}", "Host gate\n  HostName 127.0.0.7\n", "127.0.0.7"),
        ("host: 127.0.0.2, bastion: {host: 127.0.0.7, user: x}", "", "127.0.0.7"),
        ("host: 127.0.0.7", "Host *\n  Port x\n", "127.0.0.7"),
    ],
    ids=["HostName", "ProxyJump", "the first of two", "the bastion's HostName", "a bastion", "a config that cannot be used"],
)
def test_the_operators_own_way_in_is_open_and_no_other(
    folder: Folder, server: int, monkeypatch: pytest.MonkeyPatch, way: str, config: str, dialled: str
) -> None:
    monkeypatch.setenv("HOME", str(folder.root))
    (folder.root / ".ssh").mkdir()
    (folder.root / ".ssh/config").write_text(config)
    folder.cluster_yml.write_text(CLUSTER.replace("host: 127.0.0.2", way))
    contact(folder)
    socket.create_connection((dialled, server), timeout=5).close()
    with pytest.raises(OfflineError) as refused:
        socket.create_connection(("127.0.0.9", server), timeout=5)
    assert "cluster.yml, as ssh.bastion" in refused.value.hint


def test_a_cluster_that_is_not_offline_sets_the_process_free_again(folder: Folder, server: int) -> None:
    contact(folder)
    folder.cluster_yml.write_text(CLUSTER.replace("offline: true", "offline: false"))
    spec = contact(folder).spec
    socket.create_connection(("127.0.0.9", server), timeout=5).close()
    assert offline.proof(spec) == ""


def test_everything_that_is_missing_is_named_with_the_next_command_and_nobody_is_asked(folder: Folder) -> None:
    said: list[Event] = []
    with pytest.raises(OfflineError) as refused:
        prepare.prepare(folder, said.append, dry=True)
    named = [problem.where for problem in refused.value.problems]
    assert any(name.startswith("kubelet 1.36.3 a") for name in named)
    assert any(name.startswith("image coredns ") for name in named)
    assert "invoke bundle.load FILE" in refused.value.hint
    assert "invoke bundle.make --kubernetes 1.36.3 --arch a" in refused.value.hint
    assert not [event for event in said if isinstance(event, Note)]
    assert egress.counted() == {}
    assert not folder.pki.exists()


def test_a_mirror_that_is_a_directory_may_be_read(tmp_path: Path) -> None:
    source = Artifacts(offline=True, mirror=str(tmp_path / "mirror"))
    with pytest.raises(OfflineError, match="is not here; nobody was asked"):
        artifacts.fetch(["kubelet"], {"kubernetes": "1.36.3"}, "amd64", source, cache=tmp_path)
    with pytest.raises(KbError, match="no source gives the image coredns") as refused:
        images.bundle(["coredns"], {}, "amd64", source, cache=tmp_path)
    assert [problem.where for problem in refused.value.problems] == ["coredns from mirror"]


@pytest.mark.parametrize("more", ["images: pull", "mirror: https://mirror.example/"])
def test_what_would_ask_somebody_is_no_inventory(folder: Folder, more: str) -> None:
    folder.cluster_yml.write_text(CLUSTER.replace("offline: true", f"offline: true, {more}"))
    with pytest.raises(KbError) as refused:
        inventory.load(folder.cluster_yml)
    assert "offline is true" in str(refused.value.problems[0])


def test_checksums_are_not_asked_for_either(folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.root / "inventory/lab").mkdir(parents=True)
    folder.cluster_yml.rename(folder.root / "inventory/lab/cluster.yml")
    monkeypatch.chdir(folder.root)
    with pytest.raises(Exit):
        tasks.pin(Context(), kubernetes="1.36.99")
    assert "checksums are taken from the projects' own sites" in capsys.readouterr().err
    with pytest.raises(Exit):
        tasks.fetch(Context())
    assert "nobody was asked" in capsys.readouterr().err
