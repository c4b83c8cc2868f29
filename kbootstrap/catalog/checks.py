"""The preflight checks by id: what they guard. The functions that judge are in ``plan/checks/``; the inventory waives by these ids."""

from __future__ import annotations

from dataclasses import dataclass

from kbootstrap.catalog.ports import PORTS, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRow:
    """*reason* is what happens without it; *waivable* is false where going on would harm another cluster or cannot work at all."""

    id: str
    reason: str
    waivable: bool = True


def _row(name: str, reason: str, *, waivable: bool = True) -> CheckRow:
    return CheckRow(id=name, reason=reason, waivable=waivable)


ROWS: tuple[CheckRow, ...] = (
    _row("ssh", "nothing can be read, checked or installed on a host that cannot be reached", waivable=False),
    _row("root", "units, mounts and network rules are root's", waivable=False),
    _row("cluster-marker", "a host of another cluster would lose that cluster's data", waivable=False),
    _row("systemd", "units need LoadCredential= (systemd 247)"),
    _row("os", "package names, unit paths and kernels differ between systems, and others than these were never tried"),
    _row("kernel", "kube-proxy's nftables mode and containers need what older kernels lack"),
    _row("architecture", "a binary for another architecture does not start"),
    _row("cpu", "etcd misses its heartbeats when an API server takes its only processor"),
    _row("memory", "the kernel kills etcd or an API server when memory runs out"),
    _row("limits", "a busy host runs out of process ids or file handles, and daemons fail in odd places"),
    _row("disk-space", "etcd stops writing, kubelet evicts pods, images cannot be unpacked"),
    _row("disk-inodes", "a filesystem without inodes takes no more files, however much space is left"),
    _row("mount-options", "we write and execute there"),
    _row("disk-sync", "etcd waits for the disk at each write: a slow one costs elections"),
    _row("swap", "kubelet refuses to start on a host that swaps"),
    _row("cgroup", "kubelet 1.35 and newer refuse cgroup v1 unless told otherwise"),
    _row("cgroup-controllers", "kubelet cannot limit pods without them, and does not start"),
    _row("kernel-modules", "without them containers, the pod network or services do not work"),
    _row("sysctl", "the host would not forward packets of pods"),
    _row("selinux", "its policy denies some of what a cluster's daemons do, which looks like a network fault"),
    _row("apparmor", "containers would run without their profile"),
    _row("clock", "Raft, certificates and leases need clocks that agree"),
    _row("time-sync", "clocks drift apart until certificates and leases are judged differently on each host"),
    _row("hostname", "kubelet registers its node under this name"),
    _row("hosts-file", "programs that look up their own host would speak to another"),
    _row("dns", "pods get the host's resolver; without one they resolve nothing outside the cluster"),
    _row("machine-id", "cloned machines get the same addresses and names in many places"),
    _row("product-uuid", "cloned machines are taken for one another by cloud and storage software"),
    _row("mac", "switches and bridges send a frame to one of the two"),
    _row("ssh-host-key", "whoever has one of the hosts can pass for the other"),
    _row("address", "certificates and routes name this address"),
    _row("unique-address", "packets for one host arrive at the other"),
    _row("network-overlap", "packets for pods or services would leave by the host's own routes, or never reach what is there"),
    _row("mtu", "larger packets are lost or cut up on the way"),
    _row("port", "the daemon that needs the port could not start"),
    _row("other-installer", "two sets of daemons and rules on one host undo each other's work"),
    _row("other-runtime", "two container runtimes share sockets, directories and unit names"),
    _row("unit-drop-ins", "systemd lays them over our unit of the same name"),
    _row("etcd-data", "an etcd that starts on another cluster's data is that cluster's member"),
    _row("encryption-key", "API servers could not open any secret that was sealed by a key that is taken from them"),
    _row("cni-files", "containerd takes the first network configuration by name, whoever wrote it"),
    _row("foreign-rules", "another installation's packet rules would still translate service addresses"),
    _row("ipvs-rules", "the kernel would still balance service addresses to another cluster's pods"),
    _row("firewall-managers", "each overwrites the other's rules, and which holds after a reboot is chance"),
    _row("firewall", "a firewall that is only reported on may drop what hosts and pods say to each other"),
    _row("commands", "the daemons or our own steps call them"),
    _row("offline", "the package of the API endpoint would be fetched from a package server"),
    _row("package-lock", "the package of the API endpoint could not be installed"),
)

BY_ID: dict[str, CheckRow] = {row.id: row for row in ROWS}

REACH = "reach-"
REACH_ROWS: tuple[CheckRow, ...] = tuple(  # not judged by a function of facts: engine/ports.py proves them between hosts before an installation
    _row(f"{REACH}{port.name}", f"{port.purpose}: what one host cannot reach on another fails later, and looks like something else")
    for port in PORTS
    if port.protocol != "any" and {Source.MASTERS, Source.HOSTS, Source.ALL} & set(port.sources)
)
ALL: tuple[CheckRow, ...] = (*ROWS, *REACH_ROWS)
WAIVABLE: dict[str, CheckRow] = {row.id: row for row in ALL}
