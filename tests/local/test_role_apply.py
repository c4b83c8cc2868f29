"""``role.apply`` over real sshd servers: hosts get what a role of one's own says, lose what it no longer says, and others' things stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.servers import Farm, hosts
from kbootstrap import inventory
from kbootstrap.catalog import paths
from kbootstrap.engine import cluster
from kbootstrap.errors import LockError
from kbootstrap.plan.leaving import FORGET
from kbootstrap.remote import lock, ssh
from kbootstrap.remote.lock import Owner

ROLE = """\
name: motd
on: all
vars: {greeting: "good morning"}
directories: [{path: /opt/motd, mode: 0750}]
files:
  - {path: /opt/motd/hello, template: hello.j2}
  - {path: /etc/motd, template: hello.j2}
binaries: [{name: tool, path: /opt/motd/tool}]
"""


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with hosts(2) as running:
        yield running


@pytest.fixture
def folder(farm: Farm, tmp_path: Path) -> Path:
    """Where the operator works: an inventory of the farm's hosts, and a role beside it."""
    ways = {place.name: {"host": "127.0.0.1", "port": place.port} for place in farm.places}
    found = {name: {"address": f"10.9.0.{number}", "ssh": way} for number, (name, way) in enumerate(ways.items(), 1)}
    first, *others = found
    wanted = {
        "cluster": "pair",
        "kubernetes": "1.36.3",
        "ssh": {"user": "root", "key": str(farm.key)},
        "hosts": {"masters": {first: found[first]}, "workers": {name: found[name] for name in others}},
    }
    (tmp_path / "inventory/pair").mkdir(parents=True)
    (tmp_path / "inventory/pair/cluster.yml").write_text(yaml.safe_dump(wanted))
    (tmp_path / "inventory/pair/known_hosts").write_text(farm.known_hosts.read_text())
    for part in ("templates", "bin"):
        (tmp_path / "motd" / part).mkdir(parents=True)
    (tmp_path / "motd/role.yml").write_text(ROLE)
    (tmp_path / "motd/templates/hello.j2").write_text("{{ vars.greeting }} from {{ host.name }} of {{ hosts | length }}\n")
    (tmp_path / "motd/bin/tool").write_bytes(b"#!/bin/sh\necho tool\n")
    for place in farm.places:
        (place.root / "etc/motd").write_text("as it was\n")
        for left in ("opt/motd", "etc/kbootstrap-roles", paths.ROLE_BEFORE.lstrip("/")):
            shutil.rmtree(place.root / left, ignore_errors=True)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(folder), "SSH_AUTH_SOCK": ""}
    argv = [sys.executable, "-m", "kbootstrap", *arguments]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_hosts_get_it_and_a_second_run_has_nothing_to_do(farm: Farm, folder: Path) -> None:
    planned = run(folder, "role.plan", "--role", "motd")
    assert planned.returncode == 10, planned.stderr
    assert "good morning from h2 of 2" in run(folder, "role.plan", "--role", "motd", "--limit", "h2").stdout
    first = run(folder, "role.apply", "--role", "motd", "--yes")
    assert (first.returncode, first.stdout) == (0, "8 changes on 2 hosts; all are as it says.\n"), first.stderr
    for place in farm.places:
        assert (place.root / "opt/motd/hello").read_text() == f"good morning from {place.name} of 2\n"
        assert (place.root / "opt/motd").stat().st_mode & 0o777 == 0o750
        assert (place.root / "opt/motd/tool").stat().st_mode & 0o777 == 0o755
    second = run(folder, "role.apply", "--role", "motd", "--yes")
    assert second.stdout == "0 changes on 2 hosts; all are as it says.\n"


def test_what_the_role_no_longer_says_is_given_back_although_a_cluster_has_left_meanwhile(farm: Farm, folder: Path) -> None:
    assert run(folder, "role.apply", "--role", "motd", "--yes").returncode == 0
    for host, place in zip(inventory.load(folder / "inventory/pair/cluster.yml").hosts, farm.places, strict=True):
        (place.root / paths.LEDGER.lstrip("/")).parent.mkdir(exist_ok=True)
        with ssh.connect(host, known_hosts=farm.known_hosts, ssh_config=None) as connection:
            assert cluster.one(connection, f"set -e\n{FORGET}")[0] == 0
        assert not (place.root / paths.STATE.lstrip("/")).exists()
        assert (place.root / paths.ROLE_BEFORE.lstrip("/")).stat().st_mode & 0o777 == 0o700
    (folder / "motd/templates/hello.j2").write_text("changed\n")
    assert run(folder, "role.apply", "--role", "motd", "--yes").returncode == 0
    lines = [line for line in ROLE.splitlines() if "template" not in line]
    (folder / "motd/role.yml").write_text("\n".join(line for line in lines if not line.startswith("files")) + "\n")
    assert run(folder, "role.apply", "--role", "motd", "--yes").returncode == 0
    for place in farm.places:
        assert not (place.root / "opt/motd/hello").exists()
        assert (place.root / "etc/motd").read_text() == "as it was\n"
        assert (place.root / "opt/motd/tool").exists()


def test_what_belongs_to_the_cluster_is_refused(farm: Farm, folder: Path) -> None:
    ledger = farm.places[0].root / paths.LEDGER.lstrip("/")
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_text(json.dumps({"cluster_id": "x", "cluster": "c", "version": "1", "entries": {"/etc/motd": {"kind": "file", "before": None}}}))
    refused = run(folder, "role.apply", "--role", "motd", "--yes")
    ledger.unlink()
    assert refused.returncode == 4
    assert "h1:/etc/motd  belongs to the cluster" in refused.stderr
    assert (farm.places[0].root / "etc/motd").read_text() == "as it was\n"


def test_a_host_that_another_run_works_on_is_named_and_the_others_are_let_go(farm: Farm, folder: Path) -> None:
    hosts_of = inventory.load(folder / "inventory/pair/cluster.yml").hosts
    with ssh.connect(hosts_of[1], known_hosts=farm.known_hosts, ssh_config=None) as connection, lock.hold(connection, Owner.here("a test")):
        refused = run(folder, "role.apply", "--role", "motd", "--yes")
    assert refused.returncode == LockError.exit_code
    assert "h2: another run works on this host" in refused.stderr
    assert not (farm.places[0].root / "opt/motd").exists()
    assert run(folder, "role.apply", "--role", "motd", "--yes").returncode == 0


def test_a_role_that_needs_a_cluster_or_is_none(folder: Path) -> None:
    (folder / "motd/role.yml").write_text("name: motd\non: all\ncerts: [ca]\n")
    refused = run(folder, "role.apply", "--role", "motd")
    assert refused.returncode == 2
    assert "certs is for the cluster's own roles" in refused.stderr
    assert "no elsewhere/role.yml" in run(folder, "role.plan", "--role", "elsewhere").stderr
