"""Each check of the survey finds its fault in what a host answers, and only that; a healthy answer raises no alarm."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from kbootstrap.catalog.checks import BY_ID, ROWS
from kbootstrap.catalog.hosts import LIMITS, WRITTEN
from kbootstrap.errors import ConnectError, KbError, PreflightError, PrivilegeError
from kbootstrap.model.cluster import Artifacts, ClusterSpec, ImageSource, Network, Plugin, Preflight
from kbootstrap.model.facts import Observed
from kbootstrap.model.finding import Severity
from kbootstrap.model.host import Host, HostPrep, Proxy, ProxyMode
from kbootstrap.model.survey import Survey
from kbootstrap.plan import survey
from kbootstrap.plan.checks import disk_space
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.preflight import CHECKS, preflight
from kbootstrap.testing.builders import a_cluster
from tests.unit.plan.checks.said import facts, said

SPEC = a_cluster()
OURS = Ledger(cluster_id="c1", cluster="lab", entries={"service/kubelet.service": {"kind": "service", "before": None}})


def context(changes: dict[str, dict[str, str]], *, spec: ClusterSpec = SPEC, ledger: Ledger | None = None, **more: Any) -> Context:
    """All hosts healthy but for *changes*: host → line → what it is instead; other fields of facts by ``facts``: host → values."""
    other: dict[str, dict[str, Any]] = more.pop("facts", {})
    observed = {
        host.name: Observed(
            host=host.name,
            facts=replace(facts(host), **other.get(host.name, {})),
            survey=survey.parse(said(host, changes.get(host.name, {}))),
        )
        for host in spec.hosts
    }
    ledgers = {host.name: ledger or Ledger() for host in spec.hosts}
    return Context(spec=spec, observed=observed, ledgers=ledgers, cluster_id="c1", ca_sha256=("ca",), **more)


def told(found: tuple[Finding, ...]) -> list[tuple[str, str, Severity]]:
    assert all(finding.hint.endswith((".", "}")) and finding.what and finding.evidence and finding.why for finding in found), found
    return [(finding.check, finding.host, finding.severity) for finding in found]


REFUSED, WARNING = Severity.REFUSED, Severity.WARNING
FAULTS: dict[str, tuple[dict[str, str], str, Severity, str]] = {
    "no room": ({"room=/run 4096 1233685": "room=/run 4096 1000"}, "disk-space", REFUSED, "/run has 3 MB left, want 8 MB for /run/kbootstrap"),
    "little room": ({"room=/run 4096 1233685": "room=/run 4096 5000"}, "disk-space", WARNING, "/run has 19 MB left, want 32 MB"),
    "several on one filesystem": (
        {f"room={place} 4096 15235569": f"room={place} 4096 600000" for place in ("/var/lib", "/usr/local/bin", "/opt", "/etc", "/var/log")},
        "disk-space", WARNING, "/ has 2343 MB left, want 6178 MB for /var/lib/etcd, /var/lib/containerd",
    ),
    "no inodes": ({"16777216 15846977\nroom=/tmp": "16777216 100\nroom=/tmp"}, "disk-inodes", REFUSED, "/ has 100 inodes left, want 500"),
    "few inodes": ({"15846977\nroom=/usr/local": "9000\nroom=/usr/local"}, "disk-inodes", WARNING, "want 10000 for /var/lib/containerd"),
    "read-only": ({"mount=/ rw": "mount=/ ro"}, "mount-options", REFUSED, "/ is mounted read-only, and /var/lib/etcd, /var/lib/containerd"),
    "noexec": ({"": "mount=/opt ro,noexec\nmount=/opt rw,noexec"}, "mount-options", REFUSED, "/opt is mounted noexec, and /opt/cni/bin lies there"),
    "a slow disk": ({"copied, 0.0466987 s": "copied, 0.4 s"}, "disk-sync", WARNING, "takes 25 ms, want 10"),
    "a missing controller": ({"io memory hugetlb": "io hugetlb"}, "cgroup-controllers", REFUSED, "controller memory"),
    "no module to be had": ({"br_netfilter loadable": "br_netfilter absent"}, "kernel-modules", REFUSED, "no kernel module br_netfilter"),
    "forwarding cannot be switched on": ({"rw /proc/sys/net/ipv4": "ro /proc/sys/net/ipv4"}, "sysctl", REFUSED, "ip_forward is 0, want 1"),
    "SELinux enforces": ({"": "selinux=1"}, "selinux", WARNING, "haproxy must be allowed to connect to port 6443"),
    "AppArmor alone": ({"": "apparmor=Y\nmissing=apparmor_parser"}, "apparmor", WARNING, "nothing that loads its profiles"),
    "no time service": ({"timesyncd.service\nActiveState=active": "timesyncd.service\nActiveState=failed"}, "time-sync", WARNING, "no time service"),
    "its name is another's": ({"": "own=192.0.2.9"}, "hosts-file", WARNING, "gives its own name to 192.0.2.9"),
    "no nameserver": ({"nameserver=10.77.0.1\n": ""}, "dns", WARNING, "names no nameserver"),
    "a silent nameserver": ({"lookup=0 15691.98 15692.03": "lookup=124 15691.98 15693.00"}, "dns", WARNING, "no nameserver answers (10.77.0.1)"),
    "a clone's firmware": ({"8052-@number@": "8052-11"}, "product-uuid", WARNING, "same product UUID as m1"),
    "a clone's card": ({"00:@number@": "00:11"}, "mac", REFUSED, "same MAC 02:4b:0a:4d:00:11 as m1"),
    "a clone's key": ({"70jFm@number@": "70jFm11"}, "ssh-host-key", REFUSED, "same SSH host key as m1"),
    "a route into the pods": ({"": "10.244.0.0/20 via 10.77.0.9 dev eth0 "}, "network-overlap", REFUSED, "10.244.0.0/20 lies in that of pods"),
    "a route around the services": ({"": "10.96.0.0/12 via 10.77.0.9 dev eth0 "}, "network-overlap", WARNING, "contains that of services"),
    "both, the worse is told": ({"": "10.240.0.0/12 via 10.77.0.9 \n10.244.7.0/24 via 10.77.0.9 "}, "network-overlap", REFUSED, "10.244.7.0/24 lies"),
    "an address among the services": (
        {"": "3: tun0    inet 10.96.4.1/24 scope global tun0"}, "network-overlap", REFUSED, "10.96.4.0/24 lies in that of services"
    ),
    "a narrow interface": ({"link=eth0 1500": "link=eth0 1400"}, "mtu", WARNING, "eth0 carries packets of 1400 bytes, Ethernet has 1500"),
    "a port taken": (
        {"": "socket=tcp [::]:10250 812 /system.slice/nginx.service nginx"}, "port", REFUSED,
        "tcp 10250 (kubelet API) is held by pid 812 (nginx) of nginx.service",
    ),
    "a loopback port taken": ({"": "socket=tcp 127.0.0.1:10248 9 /user.slice/user-0.slice/session-1.scope nc"}, "port", REFUSED, "pid 9 (nc)"),
    "k3s": ({"": "found=/usr/local/bin/k3s\nfound=/etc/rancher/k3s"}, "other-installer", REFUSED, "k3s was installed here (/usr/local/bin/k3s"),
    "k0s, running": ({"": "Id=k0sworker.service\nActiveState=active"}, "other-installer", REFUSED, "k0s runs here"),
    "Docker, lying there": ({"": "found=/usr/bin/dockerd"}, "other-runtime", WARNING, "Docker is installed here"),
    "Docker, running": ({"docker.service\nActiveState=inactive": "docker.service\nActiveState=active"}, "other-runtime", REFUSED, "Docker runs here"),
    "a containerd, running": ({"": "Id=containerd.service\nActiveState=active"}, "other-runtime", WARNING, "ours will take its place"),
    "kubeadm's drop-in": ({"": "dropin=/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"}, "unit-drop-ins", WARNING, "10-kubeadm.conf over our"),
    "an etcd's data": ({"": "found=/var/lib/etcd/member"}, "etcd-data", REFUSED, "/var/lib/etcd/member holds"),
    "a network configuration before ours": ({"": "cni=10-flannel.conflist"}, "cni-files", REFUSED, "which comes before ours"),
    "a network configuration behind ours": ({"": "cni=99-loopback.conf"}, "cni-files", WARNING, "holds 99-loopback.conf"),
    "rules": ({"": "chain=ip nat KUBE-SERVICES\nchain=ip nat KUBE-MARK-MASQ"}, "foreign-rules", REFUSED, "ip nat KUBE-SERVICES, ip nat KUBE-MARK"),
    "MicroK8s, with its rules": (
        {"": "found=/snap/microk8s\nchain=ip nat KUBE-SERVICES"}, "other-installer", REFUSED, "MicroK8s was installed here"
    ),
    "IPVS": ({"": "ipvs=TCP  0A600001:01BB rr"}, "ipvs-rules", REFUSED, "virtual servers (TCP  0A600001:01BB rr)"),
    "two firewalls": (
        {"firewalld.service\nActiveState=inactive": "firewalld.service\nActiveState=active", "thorough=1": "thorough=1\nufw=1"},
        "firewall-managers", WARNING, "both active",
    ),
    "commands": ({"": "missing=nft\nmissing=bridge\nmissing=flock"}, "commands", REFUSED, "lacks the commands flock, nft"),
    "apt at work": ({"": "missing=haproxy\nlock=/var/lib/dpkg/lock 77 apt-get"}, "package-lock", WARNING, "held by pid 77 (apt-get)"),
    "few processes": ({"pid_max 4194304": "pid_max 4096"}, "limits", WARNING, "kernel.pid_max is 4096, want 32768"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "check", "severity", "text"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_by_its_check_alone(changes: dict[str, str], check: str, severity: Severity, text: str) -> None:
    found = preflight(context({"m2": changes}))
    assert told(found) == [(check, "m2", severity)], found
    assert text in found[0].what


OF_FACTS: dict[str, tuple[dict[str, Any], str, Severity]] = {
    "an old kernel": ({"kernel": "5.10.0-28-amd64"}, "kernel", REFUSED),
    "one processor": ({"cpus": 1}, "cpu", WARNING),
    "hardly any memory": ({"memory_kb": 800_000}, "memory", REFUSED),
    "little memory": ({"memory_kb": 1_600_000}, "memory", WARNING),
    "an old distribution": ({"os": "debian 10"}, "os", WARNING),
    "another distribution": ({"os": "arch "}, "os", WARNING),
}


@pytest.mark.parametrize(("other", "check", "severity"), OF_FACTS.values(), ids=OF_FACTS)
def test_a_fault_of_the_machine_is_found(other: dict[str, Any], check: str, severity: Severity) -> None:
    assert told(preflight(context({}, facts={"m2": other}))) == [(check, "m2", severity)]


HARMLESS: dict[str, dict[str, str]] = {
    "as wanted": {},
    "many interfaces": {"": "1244: veth1    inet 10.78.0.1/24 scope global veth1"},
    "what a worker need not have": {"": "found=/var/lib/etcd/member"},
    "another port": {"": "socket=tcp 0.0.0.0:9100 5 /system.slice/exporter.service exporter"},
    "an etcd's port on a worker": {"": "socket=tcp 0.0.0.0:2379 5 /system.slice/etcd.service etcd"},
    "the vxlan port without vxlan": {"": "socket=udp 0.0.0.0:8472 - - -"},
    "a filesystem without inodes": {"room=/var/lib 4096 15235569 16777216 15846977": "room=/var/lib 4096 15235569 0 0"},
    "ufw off, its unit on": {"firewalld.service\nActiveState=inactive": "firewalld.service\nActiveState=active"},
    "one name in capitals of a wide network": {"": "10.0.0.0/12 via 10.77.0.9 dev eth0 "},
    "apt at work, and no package to install": {"": "lock=/var/lib/dpkg/lock 77 apt-get"},
    "permissive": {"": "selinux=0"},
    "forwarding is on already": {"rw /proc/sys/net/ipv4/ip_forward 0": "ro /proc/sys/net/ipv4/ip_forward 1"},
    "an IPv6 name": {"": "own=2001:db8::7"},
    "a quick NXDOMAIN": {"lookup=0 15691.98 15692.03": "lookup=2 15691.98 15692.03"},
}


@pytest.mark.parametrize("changes", HARMLESS.values(), ids=HARMLESS)
def test_no_false_alarm(changes: dict[str, str]) -> None:
    assert preflight(context({"w1": changes})) == ()


def test_what_was_not_asked_raises_no_alarm() -> None:
    observed = {host.name: Observed(host=host.name, facts=facts(host)) for host in SPEC.hosts}
    assert preflight(Context(spec=SPEC, observed=observed, ledgers={}, cluster_id="c1", ca_sha256=("ca",))) == ()
    assert survey.parse("") == Survey()


def test_our_own_cluster_is_no_fault() -> None:
    ours = "\n".join([
        "found=/usr/local/bin/containerd", "found=/var/lib/etcd/member", "cni=10-kbootstrap.conflist", "link=kb0 1450 7a:00:00:00:00:01",
        "7: kb0    inet 10.244.1.1/24 brd 10.244.1.255 scope global kb0", "10.244.1.0/24 dev kb0 proto kernel scope link src 10.244.1.1 ",
        "10.244.2.0/24 via 10.77.0.12 dev eth0 proto 201 ", "10.96.0.0/16 dev lo proto 201 scope link src 10.77.0.11 ",
        "socket=tcp 10.77.0.11:10250 812 /system.slice/kubelet.service kubelet", "socket=udp 0.0.0.0:8472 - - -",
        "socket=tcp 0.0.0.0:30080 991 /kubepods.slice/kubepods-besteffort.slice/cri-containerd-1f.scope python",
        "link=kube-ipvs0 1500 8a:00:00:00:00:02", "ipvs=TCP  0A600001:01BB rr",
    ])  # fmt: skip
    spec = replace(SPEC, network=replace(SPEC.network, plugin=Plugin.VXLAN))
    assert preflight(context({"m1": {"": ours}}, ledger=OURS, spec=spec)) == ()


def test_the_address_of_every_vagrant_box_is_one_of_nat() -> None:
    hosts = tuple(replace(host, address=type(host.address)("10.0.2.15")) if host.name == "m1" else host for host in SPEC.hosts)
    shared = {
        "2: eth0    inet @address@/24": "3: eth1    inet @address@/24",
        "default via": "2: eth0    inet 10.0.2.15/24 scope global eth0\ndefault via",
    }
    seen = context({"w1": shared}, spec=replace(SPEC, hosts=hosts), facts={"w1": {"addresses": ("10.0.2.15/24", "10.77.0.21/24")}})
    (found,) = preflight(seen, ["unique-address"])
    assert (found.host, found.severity) == ("w1", REFUSED)
    assert "NAT" in found.hint


def test_containers_share_their_machines_firmware_and_clock() -> None:
    same = {"8052-@number@": "8052-11", "timesyncd.service\nActiveState=active": "timesyncd.service\nActiveState=failed", "": "container=lxc"}
    assert preflight(context({host.name: same for host in SPEC.hosts})) == ()


def _with(**changed: Any) -> ClusterSpec:
    return replace(SPEC, hosts=tuple(replace(host, **changed) for host in SPEC.hosts))


@pytest.mark.parametrize(
    ("spec", "changes", "wanted"),
    [
        (replace(SPEC, artifacts=Artifacts(images=ImageSource.PULL)), {"lookup=0": "lookup=2"}, [("dns", REFUSED)]),
        (replace(SPEC, network=Network(mtu=9000)), {}, [("mtu", REFUSED)]),
        (replace(SPEC, network=Network(plugin=Plugin.NONE)), {"": "cni=05-calico.conflist", "link=eth0 1500": "link=eth0 1400"}, []),
        (_with(host=HostPrep(modules="leave")), {"br_netfilter loadable": "br_netfilter absent"}, [("kernel-modules", WARNING)]),
        (_with(host=HostPrep(sysctl="leave")), {"nf-call-iptables 1": "nf-call-iptables 0"}, [("sysctl", REFUSED)] * 2),
        (_with(host=HostPrep(swap="leave")), {"": "fstab=/dev/sda2\nmissing=swapoff"}, [("swap", WARNING)]),
        (replace(SPEC, network=Network(plugin=Plugin.VXLAN)), {"": "missing=bridge"}, [("commands", REFUSED)]),
        (replace(SPEC, network=Network(services=IPv4Network("10.77.0.0/20"))), {}, [("network-overlap", REFUSED)]),
        (replace(SPEC, artifacts=Artifacts(offline=True)), {"": "missing=haproxy"}, [("offline", REFUSED)]),
    ],
    ids=["pull", "jumbo", "own network", "modules left", "sysctl left", "swap left", "vxlan", "services on the hosts", "offline"],
)  # fmt: skip
def test_settings_decide(spec: ClusterSpec, changes: dict[str, str], wanted: list[tuple[str, Severity]]) -> None:
    found = preflight(context({"m1": changes}, spec=spec))
    assert [(f.check, f.severity) for f in found if f.host == "m1"] == wanted


def test_modules_are_asked_for_as_the_cluster_needs_them() -> None:
    host = replace(SPEC.hosts[0], proxy=Proxy(mode=ProxyMode.IPVS))
    assert survey.modules(replace(SPEC, network=Network(plugin=Plugin.VXLAN)), host)[-2:] == ("vxlan", "ip_vs")


def test_hosts_that_cannot_be_read_are_findings_too() -> None:
    errors: dict[str, KbError] = {"w1": PrivilegeError("user kb is not in sudoers", hint="Allow kb."), "w2": ConnectError("connection refused")}
    damaged: dict[str, KbError] = {"m1": PreflightError("host.json is damaged", hint="Restore it.")}
    seen = context({}, spec=a_cluster(3, 0), errors=errors, damaged=damaged)
    assert [(f.check, f.host, f.severity) for f in preflight(seen)] == [
        ("ssh", "w2", REFUSED), ("root", "w1", REFUSED), ("cluster-marker", "m1", REFUSED),
    ]  # fmt: skip


def test_a_waived_finding_keeps_its_reason_and_stops_nothing() -> None:
    waived = replace(SPEC, preflight=Preflight(waive={"selinux": "known", "memory": "small", "cluster-marker": "never"}))
    seen = context({"m2": {"": "selinux=1"}}, spec=waived, facts={"m2": {"ca_sha256": "theirs"}})
    found = {f.check: f for f in preflight(seen)}
    assert (found["selinux"].severity, found["selinux"].waived) == (Severity.WAIVED, "known")
    assert found["cluster-marker"].severity is REFUSED


def test_only_some() -> None:
    seen = context({"m2": {"": "selinux=1\nmissing=nft"}})
    assert [f.check for f in preflight(seen, ["commands"])] == ["commands"]


def test_the_table_and_the_checks_agree() -> None:
    assert [row.id for row in ROWS] == list(CHECKS) == list(BY_ID)
    assert set(disk_space.NEEDED) == set(WRITTEN)
    assert set(LIMITS) == set(survey.parse(said(SPEC.hosts[0], {})).limits)
    of_others = {
        "address", "architecture", "cgroup", "clock", "cluster-marker", "hostname", "machine-id", "swap", "systemd",  # test_checks.py
        "ssh", "root", "unique-address",
        "firewall",  # test_firewall_check.py
        "offline",  # test_settings_decide
        "encryption-key",  # test_encryption_key.py
    }  # fmt: skip
    assert {check for _, check, _, _ in FAULTS.values()} | {check for _, check, _ in OF_FACTS.values()} | of_others == set(CHECKS)


def test_every_place_of_the_probe_is_filled() -> None:
    for thorough in (True, False, None):
        for host in SPEC.hosts:
            text = survey.probe(SPEC, host, thorough=thorough)
            assert "@" not in text.replace('"$@"', "")


def test_the_disk_is_tried_on_masters_alone() -> None:
    def tries(host: Host) -> bool:
        return "oflag=dsync" in survey.probe(SPEC, host)

    assert [tries(host) for host in SPEC.hosts] == [True, True, True, False, False]
