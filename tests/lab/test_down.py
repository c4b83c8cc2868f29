"""``cluster.down`` leaves a host as it was found: everything a host can be asked is written down before ``up`` and after ``down``, and compared."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.engine import role
from kbootstrap.engine.down import down
from kbootstrap.errors import ApplyError, PreflightError
from kbootstrap.store.role_folder import RoleFolder
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.whole_host import inside, same, settled

Claim = Callable[[str], AbstractContextManager[str]]
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]

FOREIGN = r"""
set -e
mkdir -m 0750 /etc/containerd; printf 'mine = true\n' > /etc/containerd/config.toml; chmod 0604 /etc/containerd/config.toml
chown daemon:mail /etc/containerd/config.toml; touch -d 2020-02-02 /etc/containerd/config.toml; echo other > '/etc/containerd/my own'
printf '#!/bin/sh\necho runc of another\n' > /usr/local/bin/runc; chmod 0755 /usr/local/bin/runc
mkdir -m 0711 /var/lib/kubelet; echo keep > /var/lib/kubelet/keep; mkdir /var/lib/kubelet/'star*'
mkdir -p /opt/cni/bin; echo plugin > /opt/cni/bin/mine; mkdir -m 0700 /etc/kubernetes; echo own > /etc/kubernetes/own.yaml
printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/containerd.service
systemctl daemon-reload; systemctl --quiet enable --now containerd.service
groupadd --system kube
iptables -A INPUT -p tcp --dport 9999 -j ACCEPT; iptables -t nat -N MINE
nft -f - <<'RULES'
table inet mine {
  set friends { type ipv4_addr; elements = { 192.0.2.7 }; }
  chain c { }
  chain in { type filter hook input priority 10; policy drop;
    ct state established,related accept; iif lo accept; tcp dport 22 accept
    jump c
  }
}
RULES
nft list ruleset > /etc/nftables.conf.mine; echo nothing > /etc/modules-load.d/mine.conf
printf 'net.ipv4.tcp_fin_timeout = 61\n' > /etc/sysctl.d/99-mine.conf
echo '/dev/null none swap noauto 0 0' >> /etc/fstab; useradd --create-home --shell /bin/sh mine; sysctl -qw net.ipv4.tcp_fin_timeout=61
ip netns add mine; ip link add mine0 type veth peer name mine1; ip route add 10.250.0.0/24 dev lo proto 77
sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close_wait=77
"""

_KILLED = """
import sys
from pathlib import Path
from kbootstrap.engine.down import down
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _request
with _request.open_(Folder(root=Path(sys.argv[1])), quiet=True, ask=False, fd=-1) as request:
    for line in down(request):
        print(line, flush=True)
"""


@pytest.fixture(scope="module")
def pair(lab_machine: None, claim: Claim, of_lab: Callable[[labs.Lab], Cluster], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master (root logs in) and a worker (a sudo user) of this module alone; on the worker somebody else has been at work before us."""
    with claim("kbdown") as name:
        found = of_lab(labs.up(name=name, masters=1, workers=1, inventory=tmp_path_factory.mktemp("inventory") / name))
        inside(found.lab.host("w1"), FOREIGN)
        yield found


def everything(cluster: Cluster, **options: object) -> list[str]:
    """``cluster.down --yes``, which succeeds."""
    try:
        return list(down(cluster.request(**options)))
    except ApplyError as error:
        raise AssertionError("\n".join(map(str, [error, *error.problems]))) from error


def killed_after(cluster: Cluster, seconds: float) -> None:
    """SIGKILL a run of ``cluster.down`` *seconds* after it began to work on hosts."""
    argv = [sys.executable, "-c", _KILLED, str(cluster.lab.folder)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        lock = cluster.lab.host("m1")
        for _ in range(300):
            if labs.execute(lock, ["test", "-e", f"{paths.RUN}/lock.owner"]).returncode == 0 or process.poll() is not None:
                break
            time.sleep(0.05)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
    for host in cluster.lab.hosts:  # the host notices within seconds that its operator is gone, and gives the lock back
        inside(host, f"[ ! -e {paths.RUN}/lock ] || flock -w 30 {paths.RUN}/lock true\n")


@pytest.mark.long(seconds=60)
def test_a_host_is_as_it_was_although_down_was_killed_three_times(pair: Cluster) -> None:
    before = settled(pair)
    pair.up()
    ledger = inside(pair.lab.host("w1"), f"cat {paths.LEDGER}\n")
    assert '"mine"' in ledger
    for seconds in (0.2, 0.9, 1.8):
        killed_after(pair, seconds)
    said = everything(pair)
    assert [line.partition(":")[0] for line in said[:2]] == ["m1", "w1"]
    assert str(pair.folder.pki) in said[2]
    same(before, settled(pair))


@pytest.mark.long(seconds=40)
def test_up_works_again_and_one_down_tells_what_it_did(pair: Cluster) -> None:
    before = settled(pair)
    pair.up()
    m1, w1, _ = everything(pair)
    assert re.fullmatch(r"m1: removed \d\d files, \d+ units, \d+ directories, 2 users; looked again at .*: nothing of ours is left", m1)
    assert "restored" in w1
    assert "/etc/containerd/config.toml" in w1
    assert "containerd.service" in w1
    same(before, settled(pair))


def test_nothing_of_ours_is_no_error(pair: Cluster) -> None:
    before = settled(pair)
    assert everything(pair)[:2] == ["m1: nothing of ours was there", "w1: nothing of ours was there"]
    same(before, settled(pair))


@pytest.mark.long(seconds=70)
def test_a_host_of_another_cluster_is_refused_and_one_that_is_off_is_an_error_at_the_end(pair: Cluster) -> None:
    pair.up()
    state = pair.folder.state.read_text()
    pair.folder.state.write_text(re.sub(r"cluster_id: .*", "cluster_id: 11111111-2222-3333-4444-555555555555", state))
    with pytest.raises(PreflightError, match="2 hosts of another cluster; nothing was changed") as refused:
        everything(pair)
    assert [problem.where for problem in refused.value.problems] == ["m1", "w1"]
    pair.folder.state.write_text(state)
    assert pair.plan().picture.plan.empty

    labs.power_cut(pair.lab.host("w1"))
    said: list[str] = []
    with pytest.raises(ApplyError, match="1 of 2 hosts are not done") as failed:
        said.extend(down(pair.request()))
    assert [problem.where for problem in failed.value.problems] == ["w1"]
    assert not Path(f"/proc/{labs.pid(pair.lab.host('m1'))}/root{paths.LEDGER}").exists()
    labs.boot(pair.lab.host("w1"))
    assert everything(pair, limit=("w1",))[0].startswith("w1: removed")
    assert everything(pair)[:2] == ["m1: nothing of ours was there", "w1: nothing of ours was there"]


ROLE: Final = "name: motd\non: worker\nfiles: [{path: /etc/motd.mine, template: motd.j2}]\n"


@pytest.mark.long(seconds=90)
def test_a_worker_that_became_a_master_leaves_as_much_as_it_was_and_a_role_keeps_what_it_replaced(own_hosts: OwnHosts, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/motd.j2").write_text("ours\n")
    with own_hosts("kbrise", masters=1, workers=2) as own:
        w1 = own.lab.host("w1")
        inside(w1, "echo theirs > /etc/motd.mine; mkdir -p /var/lib/etcd/lost+found\n")
        (tmp_path / "role.yml").write_text(ROLE)
        role.run(own.request(), RoleFolder(root=tmp_path))
        for host in own.lab.hosts:
            inside(host, f"rm -rf {paths.STATE} {paths.RUN}\n")
        before = settled(own)
        text = own.folder.cluster_yml.read_text()
        own.up()
        own.folder.cluster_yml.write_text(re.sub(r"\n  workers:(?=\n)", "", text))
        own.up()
        assert "member" in inside(w1, "ls /var/lib/etcd\n")
        said = everything(own)
        assert all(line.endswith("nothing of ours is left") for line in said[:3]), said
        assert not any("holds what is not ours" in line for line in said), said
        same(before, settled(own))
        own.folder.cluster_yml.write_text(text)
        (tmp_path / "role.yml").write_text(ROLE.partition("files")[0])
        role.run(own.request(), RoleFolder(root=tmp_path))
        assert inside(w1, "cat /etc/motd.mine\n") == "theirs\n"
