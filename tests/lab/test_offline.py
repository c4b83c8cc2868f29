"""Air gap: an operator and hosts without a way out, an empty cache and one file. Every packet that leaves them for elsewhere would be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kbootstrap import inventory
from kbootstrap.engine import bundle, prepare
from kbootstrap.model.cluster import Artifacts
from kbootstrap.model.events import silent
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.whole_host import inside

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]

# Whoever is spoken to outside of the cluster is written down, and gets nothing.
WATCH = """\
nft -f - <<'RULES'
table inet kbwatch {{
  set others {{ type ipv4_addr; flags dynamic; }}
  counter hosts {{ }}
  chain out {{
    type filter hook output priority raw; policy accept;
    ip daddr {{ {inner} }} counter name hosts accept
    ip daddr {{ 127.0.0.0/8, 224.0.0.0/4 }} accept comment "the kernel itself tells of its multicast groups"
    meta nfproto ipv4 add @others {{ ip daddr }} drop
  }}
  chain pods {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "kb0" accept
    ip daddr {{ {inner} }} accept
    meta nfproto ipv4 add @others {{ ip daddr }} drop
  }}
}}
RULES
"""
OTHERS = "nft list set inet kbwatch others | sed -n 's/.*elements = //p'"
CLUSTER_NETWORKS = "10.244.0.0/16, 10.96.0.0/16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A cluster's hosts, and an operator who lives in the network namespace *space* with a cache of his own. *file*: the bundle, which has
    *sha256*."""

    cluster: Cluster
    space: str
    cache: Path
    file: Path
    sha256: str

    def run(self, *command: str, code: int = 0) -> str:
        """A command of the operator's, which ends with exit *code*; what it says on both."""
        argv = ["ip", "netns", "exec", self.space, sys.executable, "-m", "kbootstrap", *command, "--cluster", self.cluster.folder.name]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": str(self.cache)}
        place = self.cluster.folder.root.parents[1]
        done = subprocess.run(argv, cwd=place, env=environment, capture_output=True, text=True, timeout=400, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def asks(self, text: str) -> str:
        """What sh says in the operator's namespace."""
        done = subprocess.run(["ip", "netns", "exec", self.space, "sh", "-ec", text], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _ip(*lines: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="".join(f"{line}\n" for line in lines), text=True, check=True, timeout=60)


@pytest.fixture
def site(own_hosts: OwnHosts, tmp_path: Path) -> Iterator[Site]:
    with own_hosts("kboff", masters=1, workers=1) as own:
        lab, space = own.lab, f"{own.lab.name}op"
        spec = inventory.load(own.folder.cluster_yml)
        wish = bundle.Wish(versions=prepare.versions(spec), arch=spec.hosts[0].arch, source=Artifacts(), pins={})
        _, sha256 = bundle.make(wish, tmp_path / "x.kbbundle", silent)
        own.folder.cluster_yml.write_text(own.folder.cluster_yml.read_text() + "artifacts: {offline: true}\n")
        found = Site(cluster=own, space=space, cache=tmp_path / "empty", file=tmp_path / "x.kbbundle", sha256=sha256)
        try:
            _ip(f"netns add {space}", f"link add {space} type veth peer name eth0 netns {space}", f"link set {space} master {lab.bridge} up")
            found.asks(
                f"ip link set lo up; ip address add {lab.network[250]}/{lab.network.prefixlen} dev eth0; ip link set eth0 up\n"
                "ip link add nowhere type bridge; ip link set nowhere up; ip route add default dev nowhere\n" + WATCH.format(inner=lab.network)
            )
            for host in lab.hosts:
                inside(host, WATCH.format(inner=f"{lab.network}, {CLUSTER_NETWORKS}"))
            yield found
        finally:
            for name in (f"link delete {space}", f"netns delete {space}"):
                subprocess.run(["ip", *name.split()], check=False, capture_output=True, timeout=60)
            found.file.unlink(missing_ok=True)
            subprocess.run(["rm", "-rf", str(found.cache)], check=True, timeout=60)


@pytest.mark.long(seconds=110)
def test_with_the_bundle_alone_the_cluster_comes_up_and_nobody_else_is_spoken_to(site: Site) -> None:
    m1, w1 = site.cluster.lab.hosts
    said = site.run("cluster.up", "--yes", code=5)
    assert "nobody was asked" in said
    assert "kubelet 1." in said
    assert "image coredns" in said
    assert "bundle.load FILE" in said
    assert "packets 0 " in site.asks("nft list counter inet kbwatch hosts")  # hosts neither
    assert "so its own must be said; nothing was loaded" in site.run("bundle.load", str(site.file), code=2)
    assert "all are verified" in site.run("bundle.load", str(site.file), "--sha256", site.sha256)

    inside(w1, "mv /usr/sbin/haproxy /root/haproxy")
    refused = site.run("cluster.up", "--yes", code=4)
    assert "haproxy is not installed, and with offline: true no package is fetched" in refused
    inside(w1, "mv /root/haproxy /usr/sbin/haproxy")

    said = site.run("cluster.up", "--yes")
    assert "all to hosts of cluster.yml or on the way to them (2 addresses)" in said
    assert "Nothing to do" in site.run("cluster.plan")
    site.run("cluster.verify")
    assert site.asks(OTHERS) == ""
    for host in (m1, w1):
        assert inside(host, OTHERS).strip() == "", host.name
