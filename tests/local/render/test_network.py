"""The pod network's scripts in a network namespace of their own: what they make, that they may run twice, and that they take it all back."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap.model.cluster import Plugin
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.rendered import Rendered

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("ip", "nft", "unshare", "bridge")), reason="needs root, ip, bridge, nft and unshare"
)

TEMPLATES = Path(__file__).parents[3] / "templates"
SPEC = a_cluster(2, 1)
ADDRESS = (
    "ip link set lo up; ip link add eth0 type veth peer name peer0; ip link set eth0 up; ip link set peer0 up; ip address add 10.77.0.11/24 dev eth0"
)


def _run(script: Path, *steps: str) -> str:
    program = "; ".join(("set -e", ADDRESS, *steps)).replace("SCRIPT", f"/bin/sh {script}")
    done = subprocess.run(["unshare", "--net", "/bin/sh", "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _script(tmp_path: Path, plugin: Plugin) -> Path:
    spec = replace(SPEC, network=replace(SPEC.network, plugin=plugin))
    path = tmp_path / "pod-network.sh"
    path.write_text(Rendered(root=TEMPLATES, spec=spec, host=spec.host("m1")).text(f"network-{plugin}/pod-network.sh.j2"))
    return path


@pytest.mark.parametrize("plugin", [Plugin.ROUTES, Plugin.VXLAN])
def test_stop_takes_everything_back(tmp_path: Path, plugin: Plugin) -> None:
    look = "ip -o link | sed 's/^[0-9]*: //'; ip -4 route; nft list ruleset"
    shown = _run(_script(tmp_path, plugin), look, "echo =====", "SCRIPT start", "SCRIPT start", "SCRIPT stop", look)
    before, after = shown.split("=====\n")
    assert before == after
    assert "10.77.0.0/24 dev eth0" in before


def test_routes_lead_to_the_other_hosts_and_a_stale_one_of_ours_goes(tmp_path: Path) -> None:
    stale = "ip route add 10.244.9.0/24 via 10.77.0.99 proto 201; ip route add 10.9.0.0/24 via 10.77.0.99"
    shown = _run(_script(tmp_path, Plugin.ROUTES), stale, "SCRIPT start", "ip -4 route | sed 's/ *$//'")
    assert shown.splitlines() == [
        "10.9.0.0/24 via 10.77.0.99 dev eth0",
        "10.77.0.0/24 dev eth0 proto kernel scope link src 10.77.0.11",
        "10.96.0.0/16 dev lo proto 201 scope link src 10.77.0.11",
        "10.244.1.0/24 via 10.77.0.12 dev eth0 proto 201",
        "10.244.2.0/24 via 10.77.0.21 dev eth0 proto 201",
    ]


def test_vxlan_knows_its_neighbours_without_learning(tmp_path: Path) -> None:
    steps = (
        "SCRIPT start",
        "ip -4 route show dev kb-vxlan",
        "bridge fdb show dev kb-vxlan",
        "ip -4 neighbour show dev kb-vxlan",
        "ip -d link show kb-vxlan",
    )
    shown = _run(_script(tmp_path, Plugin.VXLAN), *steps)
    for line in (
        "10.244.1.0/24 via 10.244.1.0 proto 201 onlink",
        "02:6b:0a:4d:00:0c dst 10.77.0.12 self permanent",
        "10.244.2.0 lladdr 02:6b:0a:4d:00:15 PERMANENT",
        "vxlan id 1 local 10.77.0.11 dev eth0",
        "nolearning",
        "mtu 1450",
        "link/ether 02:6b:0a:4d:00:0b",
    ):
        assert line in shown


def test_vxlan_without_the_address_says_so(tmp_path: Path) -> None:
    script = _script(tmp_path, Plugin.VXLAN)
    shown = _run(script, "ip address flush dev eth0", "! SCRIPT start 2>&1")
    assert "no interface has the address 10.77.0.11" in shown
