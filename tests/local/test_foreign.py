"""The look for what other installers left, in a real shell on a host that is a folder: what may belong to somebody who stays is not told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.plan import foreign
from kbootstrap.plan.foreign import Kind, Remain

LISTING = """\
table ip nat {
	chain PREROUTING {
	}
	chain CNI-HOSTPORT-DNAT {
	}
	chain KUBE-SERVICES {
	}
}
table ip cni_hostport {
	chain hostports {
	}
}
"""
WITHOUT_KUBERNETES = LISTING.replace("\tchain KUBE-SERVICES {\n\t}\n", "")
K3S = ("usr/local/bin/k3s", "var/lib/rancher/k3s/data/token")
MICROK8S = ("snap/microk8s/current/x", "var/snap/microk8s/common/x")
PODS = ("sys/class/net/vxlan.calico/mtu", "sys/class/net/cali0123/mtu", "var/log/pods/x", "run/netns/cni-1")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Its files lie below a folder; its nft lists what ``rules`` says."""
    (tmp_path / "bin").mkdir()
    for name, text in (("nft", f"cat {tmp_path}/rules"), ("systemctl", "exit 3"), ("dpkg-query", "exit 1")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "rules").write_text(LISTING)
    return tmp_path


def planted(host: Path, *names: str) -> None:
    for name in names:
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text("")


def seen(host: Path) -> tuple[Remain, ...]:
    text = re.sub(r"(?<!\w)(/(etc|var|run|snap|opt|usr|sys)/)", rf"{host}\1", foreign.look()).replace("iptables ip6tables", "no-such-iptables")
    environment = {**os.environ, "PATH": f"{host}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-s"], input=text, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(remain for remain in foreign.parse(done.stdout) if remain.kind is not Kind.PROCESS)  # processes are those of this machine


def told(host: Path) -> dict[Kind, list[str]]:
    found: dict[Kind, list[str]] = {}
    for remain in seen(host):
        found.setdefault(remain.kind, []).append(remain.what.removeprefix(str(host)))
    return found


def rules_removed(remains: tuple[Remain, ...]) -> str:
    return next(change.commands for change in foreign.removal("w1", remains) if change.key == "foreign/rules")


def test_what_pods_leave_is_told_where_an_installer_was_found(host: Path) -> None:
    planted(host, *K3S, *PODS)
    found = told(host)
    assert found[Kind.INTERFACE] == ["vxlan.calico", "cali0123"]
    assert found[Kind.RULES] == ["chains ip nat CNI- 1", "chains ip nat KUBE- 1", "table ip cni_hostport"]
    assert {"/usr/local/bin/k3s", "/var/lib/rancher/k3s", "/var/log/pods"} <= set(found[Kind.FILE])
    assert found[Kind.NAMESPACE] == ["/run/netns/cni-1"]
    removed = rules_removed(seen(host))
    assert "CNI-" in removed
    assert "cni_hostport" in removed


def test_port_forwards_of_podman_are_nobody_elses_where_no_installer_was(host: Path) -> None:
    (host / "rules").write_text(WITHOUT_KUBERNETES)
    assert seen(host) == ()
    (host / "rules").write_text(LISTING)
    planted(host, f"{paths.STATE.strip('/')}/hashes")  # of a role that was applied by itself
    assert told(host) == {Kind.RULES: ["chains ip nat KUBE- 1"]}
    removed = rules_removed(seen(host))
    assert "KUBE-" in removed
    assert "CNI-" not in removed
    assert "cni_hostport" not in removed


def test_a_microk8s_that_is_only_listed_keeps_its_pods(host: Path) -> None:
    planted(host, *MICROK8S, *PODS)
    assert told(host) == {Kind.LISTED: ["/snap/microk8s", "/var/snap/microk8s"]}
    assert not foreign.removable(seen(host))
    lines = list(foreign.describe(seen(host)))
    assert lines[-2:] == [
        "  MicroK8s goes by its own way alone; run there: snap remove --purge microk8s",
        "  Interfaces, packet rules and pods may be those of MicroK8s: they are looked for once it has gone.",
    ]


def test_beside_it_another_installer_loses_what_bears_its_name(host: Path) -> None:
    planted(host, *MICROK8S, *PODS, *K3S)
    found = told(host)
    assert found.keys() == {Kind.LISTED, Kind.FILE}
    assert found[Kind.FILE] == ["/usr/local/bin/k3s", "/var/lib/rancher/k3s"]
    changes = {change.key: change for change in foreign.removal("w1", seen(host))}
    assert changes.keys() == {"foreign/processes", "foreign/files", "foreign/systemd"}


def test_shims_of_pods_end_unless_somebody_stays_whose_they_may_be(host: Path) -> None:
    program = host / "containerd-shim-runc-v2"
    shutil.copy("/bin/sh", program)
    gone = Remain(of="k3s", kind=Kind.FILE, what="/usr/local/bin/k3s")
    stays = Remain(of="MicroK8s", kind=Kind.LISTED, what="/snap/microk8s")
    with subprocess.Popen([program, "-c", "read x", "shim", "-namespace", "k8s.io"], stdin=subprocess.PIPE) as shim:
        found = {}
        for remains in ((gone,), (gone, stays)):
            step = next(change.commands for change in foreign.removal("w1", remains) if change.key == "foreign/processes")
            look = f"{step.partition('! grep')[0]}\nliving\n"
            done = subprocess.run(["sh", "-s"], input=look, capture_output=True, text=True, timeout=60, check=True)
            found[remains] = str(shim.pid) in done.stdout.split()
        assert shim.stdin is not None
        shim.stdin.close()
    assert list(found.values()) == [True, False]
