"""Opening, not disabling: real firewalls on real hosts, with a host outside the inventory that looks what they let in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap import inventory
from kbootstrap import lab as labs
from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import API, NODEPORT_TCP, NODEPORT_UDP, SSH
from kbootstrap.engine import confirm, firewall, ports
from kbootstrap.engine.contact import contact
from kbootstrap.engine.down import down
from kbootstrap.errors import ApplyError, KbError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.events import silent
from kbootstrap.model.host import Host
from kbootstrap.model.resource import Firewall
from kbootstrap.report import ports as report
from kbootstrap.resources.firewall import script
from kbootstrap.rolebook import expand, openings
from tests.lab.conftest import Cluster

Claim = Callable[[str], AbstractContextManager[str]]
OfLab = Callable[[labs.Lab], Cluster]
pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]

NFTABLES = """\
cat > /etc/nftables.conf <<'RULES'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
	chain services { tcp dport 22 accept; tcp dport 23 drop; }
	chain input {
		type filter hook input priority filter; policy drop;
		iifname "lo" accept
		ct state established,related accept
		jump services
	}
	chain forward { type filter hook forward priority filter; policy drop; }
}
RULES
systemctl -q enable nftables; systemctl restart nftables
"""
IPTABLES = """\
iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -P INPUT DROP
iptables -N last; iptables -A last -j REJECT; iptables -A FORWARD -j last
"""
LEGACY = IPTABLES.replace("iptables", "iptables-legacy")
LEGACY_GONE = "iptables-legacy -F; iptables-legacy -X"
UFW = "ufw allow 22/tcp; ufw deny 6443/tcp; ufw --force enable; systemctl -q enable ufw\n"
FIREWALLD = "firewall-cmd -q --permanent --add-service=ssh; firewall-cmd -q --reload\n"
STATE = r"""
nft -s list ruleset | grep -v '^# '
find /etc/nftables.conf /etc/ufw /etc/default/ufw /etc/firewalld -type f -exec sha256sum {} + 2>/dev/null | sort -k2
find /etc/kbootstrap /etc/systemd/system \( -name 'kb-*' -o -name 'firewall*' \) 2>/dev/null | sort
"""
SAVED = "iptables-legacy-save | grep -v '^#' | sed 's/ \\[.*//'\n"
SCAN = """\
for p in {ports}; do
  ( timeout 2 bash -c "exec 3<>/dev/tcp/{address}/$p" 2>/dev/null && echo $p ) &
done
wait
"""


def inside(host: labs.LabHost, text: str, timeout_s: float = 60.0) -> str:
    done = labs.execute(host, ["bash", "-s"], text=text, timeout_s=timeout_s)
    assert done.returncode == 0, f"{host.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def leave_out(found: labs.Lab, name: str) -> labs.LabHost:
    """The host *name* is a neighbour of the cluster that no inventory knows."""
    path = found.folder / "cluster.yml"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith(f"    {name}:")))
    return found.host(name)


def scan(outside: labs.LabHost, target: labs.LabHost, more: str = "") -> set[int]:
    """What *outside* reaches of everything that listens on *target*, of *more*, and of some that nobody would open."""
    listening = inside(target, "ss -Hltn | awk '{ sub(/.*:/, \"\", $4); print $4 }' | sort -un | tr '\\n' ' '")
    ports = f"{listening} {more} 21 23 80 443 2381 8080 9100 10249 10257 10259 29999"
    return {int(line) for line in inside(outside, SCAN.format(ports=ports, address=target.address)).split()}


def eventually(host: labs.LabHost, condition: str, seconds: float = 30.0) -> None:
    """*condition* (sh) holds within *seconds*."""
    end = time.monotonic() + seconds
    while (done := labs.execute(host, ["bash", "-c", condition])).returncode:
        assert time.monotonic() < end, f"{host.name}: {condition}: {done.stdout[-500:]}{done.stderr[-500:]}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def bare(lab_machine: None, claim: Claim, of_lab: OfLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """m1 and w1 without anything; w2 is outside the inventory."""
    with claim("kbwall") as name:
        found = labs.up(name=name, masters=1, workers=2, inventory=tmp_path_factory.mktemp("inventory") / name)
        leave_out(found, "w2")
        yield of_lab(found)


@pytest.fixture
def clean(bare: Cluster) -> Cluster:
    """Hosts without a rule, and an inventory without a setting."""
    assert len(list(firewall.remove(bare.request()))) == 2
    for host in bare.lab.hosts:
        inside(host, "systemctl -q disable --now nftables; nft flush ruleset")
    path = bare.folder.cluster_yml
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("firewall:")))
    return bare


def setting(cluster: Cluster, text: str) -> None:
    path = cluster.folder.cluster_yml
    path.write_text(path.read_text().replace("hosts:\n", f"firewall: {text}\nhosts:\n"))


def test_a_host_that_does_not_answer_hides_no_other(clean: Cluster) -> None:
    w1 = clean.lab.host("w1")
    inside(w1, "systemctl stop ssh.service")
    try:
        shown, left_out = firewall.show(clean.request())
        assert [each.host.name for each in shown] == ["m1"]
        assert [problem.where for problem in left_out] == ["w1"]
        assert {change.host for change in firewall.plan(clean.request()).plan.changes()} == {"m1"}
    finally:
        inside(w1, "systemctl start ssh.service")


def opened(cluster: Cluster, **options: Any) -> None:
    """``firewall.apply`` changed something, and all is as wanted."""
    try:
        assert firewall.run(cluster.request(**options)).applied
    except KbError as error:
        raise AssertionError("\n".join(map(str, [error, *error.problems]))) from error


def gone(cluster: Cluster, before: dict[str, str]) -> None:
    """``firewall.remove`` leaves nothing, and takes nothing of anybody else's."""
    assert [line.partition(": ")[2] for line in firewall.remove(cluster.request())] == ["our rules are gone"] * len(before)
    assert {name: inside(cluster.lab.host(name), STATE) for name in before} == before


@pytest.mark.parametrize("rules", [pytest.param(NFTABLES, id="nftables"), pytest.param(IPTABLES, id="iptables")])
def test_chains_that_drop_are_opened_once_and_left_as_they_were(clean: Cluster, rules: str) -> None:
    hosts = [clean.lab.host("m1"), clean.lab.host("w1")]
    for host in hosts:
        inside(host, rules)
    before = {host.name: inside(host, STATE) for host in hosts}
    reasons = {
        change.host: change.reason for change in firewall.plan(clean.request()).plan.changes() if change.resource and change.key[:8] == "firewall"
    }
    assert set(reasons) == {"m1", "w1"}
    assert all("drops, and nothing lets the cluster in" in reason for reason in reasons.values())
    opened(clean)
    again = firewall.run(clean.request())
    assert (again.applied, again.plan.empty) == (False, True)
    for host in hosts:
        inside(host, f"systemd-run -q --collect --unit=listen-{API.first} socat TCP-LISTEN:{API.first},fork,reuseaddr OPEN:/dev/null")
    assert scan(clean.lab.host("w2"), hosts[0]) == {SSH.first, API.first}
    assert scan(clean.lab.host("w2"), hosts[1]) == {SSH.first}
    for host in hosts:
        inside(host, f"systemctl stop listen-{API.first}")
    gone(clean, before)


def test_rules_come_back_after_every_kind_of_reload(clean: Cluster) -> None:
    w1 = clean.lab.host("w1")
    inside(w1, NFTABLES)
    opened(clean, limit=("w1",))
    there = "nft list chain inet filter input | grep -q 'jump kbootstrap-input' && nft list chain inet filter kbootstrap-input | grep -q 10250"
    for reload in ("systemctl restart nftables", "systemctl reload nftables", "nft -f /etc/nftables.conf", "nft flush chain inet filter input"):
        inside(w1, there)
        inside(w1, "systemctl stop kb-firewall; systemctl show -p Result kb-firewall | grep -qx Result=success; systemctl start kb-firewall")
        inside(w1, reload)
        eventually(w1, there)
    labs.crash(w1)
    labs.boot(w1)
    eventually(w1, there)
    assert firewall.plan(clean.request(limit=("w1",))).plan.empty


def test_strict_drops_what_the_cluster_does_not_need(clean: Cluster) -> None:
    setting(clean, "{strict: true}")
    w1, w2 = clean.lab.host("w1"), clean.lab.host("w2")
    before = {"m1": inside(clean.lab.host("m1"), STATE), "w1": inside(w1, STATE)}
    numbers = (8080, 10250, NODEPORT_TCP.first)
    for port in numbers:
        inside(w1, f"systemd-run -q --collect --unit=listen-{port} socat TCP-LISTEN:{port},fork,reuseaddr OPEN:/dev/null")
    assert set(numbers) <= scan(w2, w1)
    opened(clean)
    assert scan(w2, w1) == {SSH.first, NODEPORT_TCP.first}
    assert scan(clean.lab.host("m1"), w1) == {SSH.first, NODEPORT_TCP.first, 10250}
    inside(w2, f"ping -c1 -W5 {w1.address}")
    assert firewall.plan(clean.request()).plan.empty
    for port in numbers:
        inside(w1, f"systemctl stop listen-{port}")
    gone(clean, before)


def test_rules_that_would_cut_ssh_are_taken_back(clean: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    setting(clean, "{strict: true}")
    wanted = openings.openings

    def without_ssh(spec: ClusterSpec, host: Host) -> Firewall:
        good = wanted(spec, host)
        return replace(good, rules=tuple(rule for rule in good.rules if rule.first != SSH.first), guard_s=4)

    def as_it_is(want: Firewall, _: Any) -> Firewall:
        return want

    monkeypatch.setattr(expand, "openings", without_ssh)
    monkeypatch.setattr(firewall, "openings", without_ssh)
    monkeypatch.setattr(script, "complete", as_it_is)
    w1 = clean.lab.host("w1")
    before = inside(w1, STATE)
    with pytest.raises(ApplyError) as failed:
        firewall.run(clean.request(limit=("w1",)))
    assert re.search(r"the change of the firewall was rolled back \(.*\); its rules are as they were before", failed.value.problems[0].what)
    assert inside(w1, STATE) == before
    monkeypatch.undo()
    opened(clean, limit=("w1",))  # and somebody gets in


def test_a_host_that_reboots_before_the_confirmation_takes_the_change_back(clean: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    w1 = clean.lab.host("w1")
    inside(w1, NFTABLES)
    before = inside(w1, "nft -s list ruleset")
    monkeypatch.setattr(confirm, "confirm", lambda *_: None)
    opened(clean, limit=("w1",))
    assert inside(w1, "nft -s list ruleset") != before
    labs.crash(w1)
    labs.boot(w1)
    eventually(w1, f"[ ! -e {paths.FIREWALL_SCRIPT} ]")
    assert inside(w1, "nft -s list ruleset") == before


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A cluster behind a firewall. *rules* (sh) make it, *reload* loads them anew; *lost*: nobody brings them back after a boot.

    *translated*: firewalld forwards whatever was translated, so NodePorts answer on masters too, unless it is strict.
    """

    rules: str
    reload: str
    packages: tuple[str, ...] = ()
    masters: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False
    translated: bool = False
    state: str = STATE


NFT = Case(rules=NFTABLES, reload="systemctl restart nftables")
FIREWALL_CMD = Case(
    rules=FIREWALLD,
    reload="firewall-cmd -q --reload || systemctl restart firewalld",  # which reloads no table that is gone
    packages=("firewalld",),
    translated=True,
)
STRICT = {"firewall": {"strict": True}}
CASES = {
    "nftables": (100, NFT),
    "nftables-3+2": (150, replace(NFT, masters=3)),
    "nftables-vxlan": (110, replace(NFT, options={"network": {"plugin": "vxlan"}})),
    "iptables": (70, Case(rules=IPTABLES, reload=f"iptables -P INPUT ACCEPT; iptables -F; iptables -X; {IPTABLES}", lost=True)),
    "iptables-legacy": (90, Case(rules=LEGACY, reload=f"iptables-legacy -P INPUT ACCEPT; {LEGACY_GONE}; {LEGACY}", lost=True, state=STATE + SAVED)),
    "ufw": (90, Case(rules=UFW, reload="ufw reload", packages=("ufw",))),
    "firewalld": (90, FIREWALL_CMD),
    "strict": (70, Case(rules="", reload="true", options=STRICT)),
    "strict-firewalld": (90, replace(FIREWALL_CMD, options=STRICT, translated=False)),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name, marks=pytest.mark.long(seconds=cost_s)) for name, (cost_s, case) in CASES.items()])
def test_a_cluster_comes_up_and_lives_behind(case: Case, claim: Claim, of_lab: OfLab, tmp_path: Path) -> None:
    with claim("kbwl") as name:
        found = labs.up(name=name, masters=case.masters, workers=3, packages=case.packages, inventory=tmp_path / name)
        outside = leave_out(found, "w3")
        cluster = of_lab(found)
        path = cluster.folder.cluster_yml
        path.write_text(path.read_text() + (yaml.safe_dump(dict(case.options)) if case.options else ""))
        hosts = [host for host in found.hosts if host.name != outside.name]
        for host in hosts:
            inside(host, case.rules)
        before = {host.name: inside(host, case.state) for host in hosts}
        cluster.up()
        assert cluster.plan().picture.plan.empty
        lets_in_only_what_it_must(cluster, outside, translated=case.translated)
        w1 = found.host("w1")
        for again in (case.reload, "nft flush ruleset", case.reload):
            inside(w1, again)
            eventually(w1, "nft list table ip kube-proxy >/dev/null && nft list table ip kbootstrap >/dev/null", 60)
        if not case.lost:
            labs.crash(w1)
            labs.boot(w1)
        cluster.up()
        lets_in_only_what_it_must(cluster, outside, translated=case.translated)
        assert list(down(cluster.request()))
        after = {each: inside(found.host(each), case.state) for each in before}
        if case.lost:  # what the flush took from w1 came back with the reload, though in tables that nft lists otherwise
            before.pop("w1")
            after.pop("w1")
        assert after == before


def lets_in_only_what_it_must(cluster: Cluster, outside: labs.LabHost, *, translated: bool) -> None:
    """SSH, the API, and on workers a NodePort, whose pods nobody outside reaches by their own addresses; what must be open between hosts is."""
    port = NODEPORT_TCP.first + 53
    wanted = [
        {"name": "tcp", "port": 53, "targetPort": "dns-tcp", "protocol": "TCP", "nodePort": port},
        {"name": "udp", "port": 53, "targetPort": "dns", "protocol": "UDP", "nodePort": NODEPORT_UDP.first},
    ]
    spec = json.dumps({"spec": {"ports": wanted}})
    cluster.kubectl("-n", "kube-system", "expose", "deployment/coredns", "--name=seen", "--type=NodePort", "--port=53", f"--overrides={spec}")
    hosts = [host for host in cluster.lab.hosts if host.name != outside.name]
    masters, workers = [host for host in hosts if host.name.startswith("m")], [host for host in hosts if host.name.startswith("w")]
    end = time.monotonic() + 30
    while scan(outside, workers[0], str(port)) != {SSH.first, port} and time.monotonic() < end:
        time.sleep(0.5)
    assert [scan(outside, host, str(port)) for host in masters] == [{SSH.first, API.first} | ({port} if translated else set())] * len(masters)
    assert [scan(outside, host, str(port)) for host in workers] == [{SSH.first, port}] * len(workers)
    pods = cluster.kubectl("-n", "kube-system", "get", "pods", "-o", 'jsonpath={range .items[*]}{.status.podIP} {.status.hostIP}{"\\n"}{end}')
    for pod, node in (line.split() for line in pods.splitlines()):
        inside(outside, f"ip route replace {pod} via {node}")
        assert inside(outside, SCAN.format(ports="53 1053 8080 8181 9153", address=pod)) == ""
    with cluster.request().connect(contact(cluster.folder)) as pool:
        proofs = ports.check(inventory.load(cluster.folder.cluster_yml), pool, silent)
    assert not [proof for proof in proofs if not proof.ok], "\n".join(map(str, report.problems(proofs)))
    assert {proof.answered for proof in proofs if proof.pair.number == API.first} == {"daemon"}
    cluster.kubectl("-n", "kube-system", "delete", "service/seen")
