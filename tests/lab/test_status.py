"""``cluster.status`` of a real cluster: a stopped daemon and a dead host are named, and all else is still shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.engine.status import status
from kbootstrap.model.pki import Pki
from kbootstrap.model.status import Status
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.report.status import lines
from kbootstrap.store import clock
from kbootstrap.store.entropy import SystemEntropy
from tests.lab.conftest import Cluster, OwnHosts

pytestmark = pytest.mark.lab
_DEADLINE_S = 200.0  # a node counts as failed after 40 s without a word from its kubelet


def inside(host: labs.LabHost, *argv: str) -> None:
    done = labs.execute(host, list(argv))
    assert done.returncode == 0, done.stderr


def until(cluster: Cluster, holds: Callable[[Status], bool], what: str) -> Status:
    deadline = time.monotonic() + _DEADLINE_S
    while not holds(found := status(cluster.request())):
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}\n" + "\n".join(lines(found))
        time.sleep(1)
    return found


def healthy(found: Status) -> bool:
    return found.healthy


def test_a_stopped_kube_proxy_is_named_with_its_host(cluster: Cluster) -> None:
    host = cluster.lab.host("w1")
    until(cluster, healthy, "healthy")
    inside(host, "systemctl", "stop", "kube-proxy")
    try:
        found = status(cluster.request())
        assert [(unit.host, unit.name) for state in found.hosts for unit in state.units if not unit.ok] == [("w1", "kube-proxy.service")]
        assert not found.healthy
        assert any("w1 inactive" in line and "systemctl start kube-proxy.service" in line for line in lines(found))
    finally:
        inside(host, "systemctl", "start", "kube-proxy")
    until(cluster, healthy, "healthy again")


def test_a_stopped_kubelet_shows_at_once_as_a_unit_and_then_in_its_nodes_row(cluster: Cluster) -> None:
    host = cluster.lab.host("w2")
    inside(host, "systemctl", "stop", "kubelet")
    try:
        found = until(cluster, lambda seen: any(not node.ready for node in seen.nodes), "the node counts as failed")
        assert [node.name for node in found.nodes if not node.ready] == ["w2"]
        assert [(unit.host, unit.name) for state in found.hosts for unit in state.units if not unit.ok] == [("w2", "kubelet.service")]
    finally:
        inside(host, "systemctl", "start", "kubelet")
    until(cluster, healthy, "healthy again")


def test_a_master_without_its_cable_is_a_row_and_the_others_answer_for_the_cluster(cluster: Cluster) -> None:
    host = cluster.lab.host("m1")
    labs.unplug(host)
    try:
        found = until(cluster, lambda seen: any(member.leader for member in seen.members), "the others have a leader")
        assert [state.name for state in found.hosts if state.reason] == ["m1"]
        assert [member.host for member in found.members if member.reason] == ["m1"]
        assert len(found.nodes) == len(cluster.lab.hosts)
    finally:
        labs.plug(host)
    until(cluster, healthy, "healthy again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """*plant* on *host* must be named as *name* (a trouble's id, or ``unit: cause``). *undo* is of what stands for the machine itself, which all
    hosts share: its swap, clock and control groups; anything else is mended by the very command that status tells."""

    host: str
    name: str
    plant: str
    undo: str = ""


_UNIT_OF = "f=/etc/systemd/system/{unit}.service; {edit}; systemctl daemon-reload; systemctl restart --no-block {unit} || :"
DEATHS = (
    Death(
        host="w1",
        name="port",
        plant="printf '[Service]\\nExecStart=/usr/bin/socat TCP-LISTEN:10250,fork,reuseaddr /dev/null\\n' >/etc/systemd/system/squatter.service"
        "; systemctl daemon-reload; systemctl stop kubelet; systemctl start squatter"
        "; until ss -Hltn | grep -q :10250; do sleep 0.05; done; systemctl start --no-block kubelet",
    ),
    Death(host="w1", name="kubelet: port-taken", plant=":"),
    Death(
        host="w1",
        name="disk",
        plant="mkdir -p /var/lib/etcd; mount -t tmpfs -o size=4m none /var/lib/etcd; head -c 5000000 /dev/zero >/var/lib/etcd/filler || :",
    ),
    Death(host="w1", name="kube-proxy: stopped", plant="systemctl stop kube-proxy"),
    Death(host="m1", name="hostname", plant="hostname web7"),
    Death(host="m1", name="cluster-marker", plant="echo theirs >/etc/kubernetes/pki/ca.crt"),
    Death(host="m1", name="certificate", plant="cat >/etc/kubernetes/pki/apiserver-kubelet-client.crt <<'PEM'\n@expired@PEM"),
    Death(
        host="m1",
        name="swap",
        plant="{ echo 'Filename Type Size Used Priority'; echo '/dev/x partition 1024 0 -2'; } >/root/swaps; mount --bind /root/swaps /proc/swaps",
        undo="umount /proc/swaps",
    ),
    Death(
        host="m1",
        name="clock",
        plant="printf '%s\\n' '#!/bin/sh' 'exec /bin/date -d \"+100 seconds\" \"$@\"' >/usr/local/bin/date; chmod 755 /usr/local/bin/date",
        undo="rm /usr/local/bin/date",
    ),
    Death(
        host="m1",
        name="cgroup-controllers",
        plant="f=/sys/fs/cgroup/cgroup.controllers; [ -e $f ] || f=/proc/cgroups; sed '/^pids/d; s/pids//' $f >/root/c; mount --bind /root/c $f",
        undo="umount /sys/fs/cgroup/cgroup.controllers 2>/dev/null || umount /proc/cgroups",
    ),
    Death(
        host="m1",
        name="reach",
        plant="nft add table inet theirs; nft 'add chain inet theirs early { type filter hook prerouting priority -300; }'"
        "; nft add rule inet theirs early ip saddr @w1@ tcp dport 6443 drop",
    ),
    Death(
        host="m1",
        name="kube-scheduler: flag",
        plant=_UNIT_OF.format(unit="kube-scheduler", edit="sed -i 's#^ExecStart=/usr/local/bin/kube-scheduler#& --bogus=1#' $f"),
    ),
    Death(
        host="m1",
        name="kube-controller-manager: masked",
        plant=_UNIT_OF.format(unit="kube-controller-manager", edit="systemctl stop kube-controller-manager; ln -sf /dev/null $f"),
    ),
)


@pytest.fixture(scope="module")
def own(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbsick", masters=1, workers=1) as found:
        found.up()
        yield found


def named(found: Status) -> set[tuple[str, str]]:
    """(host, what) of everything that is said to be wrong; not what may become so."""
    troubles = {(each.where, each.id) for each in found.troubles if not each.warning}
    units = [unit for state in found.hosts for unit in state.units if not unit.ok]
    return troubles | {(unit.host, f"{unit.name.removesuffix('.service')}: {unit.cause.id if unit.cause else unit.state}") for unit in units}


def told(found: Status) -> Iterator[tuple[str, str]]:
    """(host, sh text) of every repair that is run on a host."""
    hints = [(each.where, each.hint) for each in found.troubles]
    hints += [(unit.host, unit.hint) for state in found.hosts for unit in state.units if not unit.ok]
    for where, hint in hints:
        if match := re.match(r"(?:Run there|On [\w-]+): ([^;.]*(?:\.[^;. ]+[^;.]*)*)", hint):
            yield where, match[1]


def expired(cluster: Cluster) -> str:
    """The API server's client certificate for kubelets, as it will have been two days after its end."""
    spec = inventory.load(cluster.folder.cluster_yml)
    then = clock.now() - timedelta(days=spec.certificates.leaf_days + 2)
    wanted = [each for each in profiles(spec) if each.id == "m1/apiserver-kubelet-client"]
    pki, _ = issue.complete(Pki(), wanted, now=then, certificates=spec.certificates, entropy=SystemEntropy())
    return pki.pair("m1/apiserver-kubelet-client").cert_pem.decode()


@pytest.mark.long(seconds=150)
def test_each_of_the_usual_deaths_is_named_alone_of_them_all_and_its_repair_mends_it(own: Cluster) -> None:
    until(own, healthy, "healthy")
    swaps = inventory.load(own.folder.cluster_yml).host("m1").kubelet.fail_swap_on
    planted = [death for death in DEATHS if death.name != "swap" or swaps]
    for death in planted:
        text = death.plant.replace("@expired@", expired(own)).replace("@w1@", str(own.lab.host("w1").address))
        inside(own.lab.host(death.host), "sh", "-c", text)
    want = {(death.host, death.name) for death in planted}
    found = until(own, lambda seen: named(seen) == want, f"exactly {want}")
    for death in planted:
        if death.undo:
            inside(own.lab.host(death.host), "sh", "-c", death.undo)
    of_machine = ("swapoff", "timedatectl")
    for host, text in told(found):
        if "du -axh" in text:  # it shows what to remove; that it is to be removed a person decides
            shown = labs.execute(own.lab.host(host), ["sh", "-c", text]).stdout
            assert "/var/lib/etcd/filler" in shown, shown
            inside(own.lab.host(host), "rm", "/var/lib/etcd/filler")
        elif not text.startswith(of_machine):
            inside(own.lab.host(host), "sh", "-c", text)
    inside(own.lab.host("m1"), "nft", "delete", "table", "inet", "theirs")  # as ports.check tells: tests/lab/test_attribution.py
    inside(own.lab.host("w1"), "sh", "-c", "umount /var/lib/etcd; rmdir /var/lib/etcd; rm /etc/systemd/system/squatter.service")
    own.up()
    until(own, healthy, "healthy again")


@pytest.mark.long(seconds=60)
def test_without_a_quorum_its_stopped_member_is_named_and_what_hangs_on_it(own: Cluster) -> None:
    own.up()
    inside(own.lab.host("m1"), "systemctl", "stop", "etcd")
    found = until(own, lambda seen: ("cluster", "quorum") in named(seen), "the quorum is lost")
    assert {("m1", "etcd: stopped"), ("m1", "kube-apiserver: bound")} <= named(found)
    others = {what.partition(":")[0] for _, what in named(found)} - {"etcd", "kube-apiserver", "quorum"}
    assert others <= {"kube-controller-manager", "kube-scheduler"}, "whoever loses its lease ends, and says so"
    for host, text in dict.fromkeys(told(found)):
        if text.startswith("systemctl start"):
            inside(own.lab.host(host), "sh", "-c", text)
    until(own, healthy, "healthy again")
