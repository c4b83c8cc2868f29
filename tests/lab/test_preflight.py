"""The preflight on real hosts: every fault that is planted is found, all at once, and nothing else; a healthy host raises no alarm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap import lab as labs
from kbootstrap.catalog.checks import BY_ID
from kbootstrap.engine import preflight
from kbootstrap.errors import PreflightError
from kbootstrap.model.finding import Finding, Severity
from tests.lab.conftest import Cluster
from tests.lab.faults import FAULTS, REFUSED

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
REFUSED_EXIT, USAGE_EXIT = 4, 2
SECOND_SSHD = 2222
Row = tuple[str, str, Severity]


def rows(found: tuple[Finding, ...]) -> set[Row]:
    """Without what is this machine's matter, not its practice hosts': how quick the disk is where nobody planted a slow one."""
    return {(f.host, f.check, f.severity) for f in found if f.check != "disk-sync" or f.host == "m1"}


def told(found: tuple[Finding, ...]) -> str:
    return "\n".join(f"{f.severity} {f.check} {f.host}: {f.what} [{f.evidence}]" for f in found)


def inside(host: labs.LabHost, text: str) -> str:
    done = labs.execute(host, ["sh", "-ec", text])
    assert done.returncode == 0, f"{host.name}: {text}\n{done.stderr}"
    return done.stdout.strip()


def edited(lab: labs.Lab, change: Callable[[dict[str, Any]], None]) -> None:
    path = lab.folder / "cluster.yml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def task(lab: labs.Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``preflight.run`` as a user calls it, beside the folder ``inventory``."""
    argv = [sys.executable, "-m", "invoke", "--search-root", str(ROOT), "preflight.run", f"--cluster={lab.folder.name}", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, cwd=lab.folder.parents[1], env=environment, capture_output=True, text=True, timeout=120, check=False)


def planted(lab: labs.Lab) -> set[Row]:
    """Plant all faults; what must be found then."""
    first = lab.host("m1")
    values = {
        "m1": str(first.address), "m2": str(lab.host("m2").address), "gateway": str(first.gateway), "m1-mac": first.mac,
        "m1-machine-id": inside(first, "cat /etc/machine-id"), "m1-key": inside(first, "cat /etc/ssh/ssh_host_ed25519_key.pub"),
    }  # fmt: skip
    for host in lab.hosts:
        text = "\n".join(fault.text for fault in FAULTS if fault.host == host.name)
        for name, value in {**values, "own": str(host.address)}.items():
            text = text.replace(f"@{name}@", value)
        inside(host, text)
    edited(lab, lambda document: _in_the_inventory(lab, document))
    return {(fault.host, fault.check, fault.severity) for fault in FAULTS} | {
        ("w2", "address", REFUSED), ("w3", "ssh", REFUSED), ("w4", "root", REFUSED),
    }  # fmt: skip


def _in_the_inventory(lab: labs.Lab, document: dict[str, Any]) -> None:
    """w2 is elsewhere than it says and may load modules, m1 must not swap; w3 answers nowhere, and the user of w4 gets no root."""
    net, hosts = lab.network, document["hosts"]
    hosts["masters"]["m1"]["kubelet"] = {"fail_swap_on": True}
    hosts["workers"]["w2"] |= {"address": str(net[99]), "ssh": {"host": str(lab.host("w2").address)}, "host": {"modules": "load"}}
    hosts["workers"]["w3"] = {"address": str(net[98]), "ssh": {"host": str(lab.host("w1").address), "port": 2}}
    way = {"host": str(lab.host("w1").address), "port": SECOND_SSHD, "user": "kb", "sudo": {"needed": True}}
    hosts["workers"]["w4"] = {"address": str(net[97]), "ssh": way}
    inside(
        lab.host("w1"),
        f"systemd-run -q --unit=second /usr/sbin/sshd -D -p {SECOND_SSHD}; until ss -Hltn | grep -q :{SECOND_SSHD}; do sleep 0.05; done",
    )
    known = lab.folder / "known_hosts"
    key = next(line.partition(" ")[2] for line in known.read_text().splitlines() if line.startswith(f"{lab.host('w1').address} "))
    known.write_text(known.read_text() + f"[{lab.host('w1').address}]:{SECOND_SSHD} {key}\n")


@pytest.fixture
def bare(lab_machine: None, claim: Callable[[str], AbstractContextManager[str]], tmp_path: Path) -> Any:
    with claim("kbpre") as name:
        yield labs.up(name=name, inventory=tmp_path / "inventory" / name)


def test_every_planted_fault_is_found_in_one_run_and_nothing_else(bare: labs.Lab, of_lab: Callable[[labs.Lab], Cluster]) -> None:
    cluster = of_lab(bare)
    healthy = preflight.run(cluster.request())
    assert {row for row in rows(healthy) if row[1] != "disk-sync"} == set(), told(healthy)

    wanted = planted(bare)
    found = preflight.run(cluster.request())
    assert rows(found) == wanted, told(found)
    assert len({check for _, check, _ in wanted}) >= 40
    assert all(finding.why and finding.hint and (finding.evidence or finding.check in ("ssh", "root")) for finding in found)

    done = task(bare, "--json")
    assert done.returncode == REFUSED_EXIT, done.stderr
    told_as_json = {(row["host"], row["check"], Severity(row["severity"])) for row in json.loads(done.stdout)["findings"]}
    assert {row for row in told_as_json if row[1] != "disk-sync" or row[0] == "m1"} == wanted

    _only_and_limit(bare)
    _up_is_refused(cluster, {(host, check) for host, check, severity in wanted if severity is REFUSED and check not in ("ssh", "root")})
    _waived(bare, cluster)


def _only_and_limit(lab: labs.Lab) -> None:
    done = task(lab, "--only=swap", "--limit=m1")
    assert done.returncode == 0, done.stdout + done.stderr  # a warning stands in nobody's way
    assert "swap  m1" in done.stdout
    assert "1 warning" in done.stdout
    done = task(lab, "--only=memroy")
    assert (done.returncode, done.stderr.strip()) == (USAGE_EXIT, "error: --only: no check is called memroy\n  Did you mean memory?")


def _up_is_refused(cluster: Cluster, wanted: set[tuple[str, str]]) -> None:
    """Whoever did not ask before is told now, all at once, and nothing was changed."""
    with pytest.raises(PreflightError, match="nothing was changed") as caught:
        cluster.up()
    assert {(problem.where, problem.what.partition(":")[0]) for problem in caught.value.problems} == wanted
    assert [inside(host, "ls -A /etc/kbootstrap 2>/dev/null || true") for host in cluster.lab.hosts] == [""] * len(cluster.lab.hosts)


def _waived(lab: labs.Lab, cluster: Cluster) -> None:
    """What the inventory accepts is shown with its reason and stops nothing; the rest of it stays refused."""
    reason = "an old box, until the new one is here"
    edited(lab, lambda document: document.update(preflight={"waive": {"memory": reason}}))
    found = {f.check: f for f in preflight.run(cluster.request(limit=("m1",)))}
    assert (found["memory"].severity, found["memory"].waived) == (Severity.WAIVED, reason)
    assert found["disk-space"].severity is REFUSED
    done = task(lab, "--only=memory", "--limit=m1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"waived: {reason}" in done.stdout


def test_a_host_with_the_cluster_on_it_raises_no_alarm(cluster: Cluster) -> None:
    found = preflight.run(cluster.request())
    # The practice hosts' nameserver is nobody; whether that shows depends on how often their gateway said so in the last second.
    assert [finding for finding in found if finding.check != "dns"] == [], told(found)


def test_every_check_is_planted_somewhere() -> None:
    """The others cannot be arranged on hosts that share this machine's kernel; ``tests/unit/plan/test_checks.py`` has what such hosts say."""
    arranged = {fault.check for fault in FAULTS} | {
        "address",
        "ssh",
        "root",
        "firewall",
        "encryption-key",
        "offline",
    }  # these three: tests of their own
    assert set(BY_ID) - arranged == {"cgroup", "selinux", "product-uuid"}
