"""What a host must have, and what others may have left on it: paths, units, commands and limits that the preflight asks for."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.installers import INSTALLERS, SHARED_UNITS

WRITTEN: Final = (
    paths.ETCD_DATA, paths.CONTAINERD_DATA, "/var/lib/kubelet", paths.STATE, paths.BIN, paths.CNI_BIN, paths.KUBERNETES, paths.UNITS,
    "/var/log", "/tmp", paths.RUN,  # noqa: S108  the host's, not ours
)  # fmt: skip
"""Where we, or the daemons that we install, write."""

EXECUTED: Final = (paths.BIN, paths.CNI_BIN)

REMAINS: Final = {installer.name: installer.signs for installer in INSTALLERS if not installer.unnamed}
"""By what other installers are known, by name."""

RUNTIMES: Final = {
    "Docker": ("/usr/bin/dockerd", "/var/lib/docker"),
    "containerd": ("/usr/bin/containerd", f"{paths.BIN}/containerd", f"{paths.CONTAINERD_DATA}/io.containerd.metadata.v1.bolt/meta.db"),
    "CRI-O": ("/usr/bin/crio", "/usr/local/bin/crio"),
}
"""Container runtimes, by name. The paths of a containerd may be ours: only a host without a ledger is asked."""

INSTALLER_UNITS: Final = {unit: each.name for each in INSTALLERS if not each.unnamed for unit in each.units if unit not in SHARED_UNITS}
RUNTIME_UNITS: Final = {"docker.service": "Docker", "crio.service": "CRI-O", "containerd.service": "containerd"}
OUR_UNITS: Final = (
    "containerd.service", "etcd.service", "kube-apiserver.service", "kube-controller-manager.service", "kube-scheduler.service",
    "kube-proxy.service", "kubelet.service",
)  # fmt: skip
"""Units of ours with names that others use too: what lies beside theirs changes ours."""
UNIT_FOLDERS: Final = (paths.UNITS, "/run/systemd/system", "/usr/lib/systemd/system")
FIREWALL_UNITS: Final = ("ufw.service", "firewalld.service")
TIME_UNITS: Final = (
    "systemd-timesyncd.service", "chronyd.service", "chrony.service", "ntpd.service", "ntp.service", "ntpsec.service", "openntpd.service",
    "ptp4l.service", "phc2sys.service", "vmtoolsd.service", "open-vm-tools.service",
)  # fmt: skip

ETCD_MEMBER: Final = f"{paths.ETCD_DATA}/member"
CNI_FOLDER: Final = "/etc/cni/net.d"
PACKAGE_LOCKS: Final = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/lib/rpm/.rpm.lock")

COMMANDS: Final = {
    "base64": "coreutils", "bridge": "iproute2", "find": "findutils", "flock": "util-linux", "getent": "libc-bin", "ip": "iproute2",
    "journalctl": "systemd", "mktemp": "coreutils", "modprobe": "kmod", "mount": "mount", "nft": "nftables", "setsid": "util-linux",
    "sha256sum": "coreutils", "swapoff": "mount", "timeout": "coreutils", "umount": "mount", "useradd": "passwd",
}  # fmt: skip
"""Command → Debian's package. Those that the read itself cannot do without (sh, awk, sed, stat, systemctl) end it with a message of their own."""

LIMITS: Final = {"kernel.pid_max": 32768, "kernel.threads-max": 4096, "fs.file-max": 65536}
"""The least of each that a host with 110 pods can live with; every distribution's own value is higher or equal."""

FORWARDING: Final = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables")
REGISTRY: Final = "registry.k8s.io"


def proc(sysctl: str) -> str:
    """The file of a kernel setting."""
    return "/proc/sys/" + sysctl.replace(".", "/")
