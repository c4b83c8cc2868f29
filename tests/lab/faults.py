"""Faults that a preflight must find, as sh text that plants each on a practice host. Over a kernel's own file another is mounted."""

from __future__ import annotations

from dataclasses import dataclass

from kbootstrap.model.finding import Severity

REFUSED, WARNING = Severity.REFUSED, Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """*text* plants on *host* what *check* must find. ``@m1@`` in it is the address of m1, ``@own@`` the host's, ``@gateway@`` the network's."""

    check: str
    host: str
    severity: Severity
    text: str


def _wrapped(command: str, text: str) -> str:
    """A command of another program's name, before it in every PATH."""
    return f"printf '%s\\n' '#!/bin/sh' {text} >/usr/local/bin/{command}; chmod 755 /usr/local/bin/{command}"


def _over(file: str, content: str, *, read_only: bool = False) -> str:
    """*content* where the kernel's *file* was."""
    name = f"/root/fake-{file.rpartition('/')[2]}"
    return f"echo '{content}' >{name}; mount --bind {name} {file}" + (f"; mount -o remount,bind,ro {file}" if read_only else "")


_HOLD = """cat >/root/hold.pl <<'P'
use Fcntl qw(:DEFAULT :seek);
open(my $f, '>', '/var/lib/dpkg/lock-frontend') or die; my $l = pack('s s x4 q q l x4', F_WRLCK, SEEK_SET, 0, 0, 0);
fcntl($f, F_SETLK, $l) or die; sleep 600;
P
mv /usr/sbin/haproxy /root/; systemd-run -q --unit=updates perl /root/hold.pl
until grep -q POSIX /proc/locks; do sleep 0.05; done"""

_CONTROLLERS = """if [ -e /sys/fs/cgroup/cgroup.controllers ]; then f=/sys/fs/cgroup/cgroup.controllers; sed 's/pids//' $f >/root/c
else f=/proc/cgroups; sed '/^pids/d' $f >/root/c; fi
mount --bind /root/c $f"""


def _tmpfs(place: str, options: str) -> str:
    return f"mkdir -p {place}; mount -t tmpfs -o {options} none {place}"


def _fault(check: str, host: str, severity: Severity, text: str) -> Fault:
    return Fault(check=check, host=host, severity=severity, text=text)


FAULTS = (
    _fault("disk-space", "m1", REFUSED, _tmpfs("/var/lib/etcd", "size=64m")),
    _fault("swap", "m1", WARNING, "echo '/dev/sdz2 none swap sw 0 0' >>/etc/fstab"),
    _fault("hosts-file", "m1", WARNING, "echo '192.0.2.7 m1' >>/etc/hosts"),
    _fault("memory", "m1", REFUSED, _over("/proc/meminfo", "MemTotal: 524288 kB")),
    _fault("cpu", "m1", WARNING, _wrapped("nproc", "'echo 1'")),
    _fault("disk-sync", "m1", WARNING, _wrapped("dd", "'echo \"65536 bytes (66 kB, 64 KiB) copied, 0.8 s, 82 kB/s\"'")),
    _fault("etcd-data", "m1", REFUSED, "mkdir -p /var/lib/etcd/member"),
    _fault("disk-inodes", "m2", REFUSED, _tmpfs("/var/log", "size=400m,nr_inodes=80")),
    _fault("mount-options", "m2", REFUSED, _tmpfs("/var/lib/kubelet", "size=1g,ro")),
    _fault("clock", "m2", REFUSED, _wrapped("date", "'exec /bin/date -d \"+100 seconds\" \"$@\"'")),
    _fault("cluster-marker", "m2", REFUSED, "mkdir -p /etc/kubernetes/pki; echo theirs >/etc/kubernetes/pki/ca.crt"),
    _fault("commands", "m2", REFUSED, "mv /usr/sbin/useradd /root/"),
    _fault("cgroup-controllers", "m2", REFUSED, _CONTROLLERS),
    _fault("hostname", "m3", REFUSED, "hostname web7"),
    _fault("machine-id", "m3", REFUSED, "echo @m1-machine-id@ >/root/id; mount --bind /root/id /etc/machine-id"),
    _fault("ssh-host-key", "m3", REFUSED, "echo '@m1-key@' >/etc/ssh/ssh_host_ecdsa_key.pub"),
    _fault("mac", "m3", REFUSED, "ip link add twin address @m1-mac@ type bridge; ip address add @own@/32 dev twin"),
    _fault("other-installer", "m3", REFUSED, "mkdir -p /var/lib/rancher/k3s/agent /etc/rancher/k3s"),
    _fault("other-runtime", "m3", REFUSED, "mkdir -p /var/lib/docker; systemd-run -q --unit=docker sleep 600"),
    _fault("unit-drop-ins", "m3", WARNING, "mkdir -p /usr/lib/systemd/system/kubelet.service.d; d=/usr/lib/systemd/system/kubelet.service.d"
           "; printf '[Service]\\nEnvironment=KUBELET_EXTRA_ARGS=--v=2\\n' >$d/10-kubeadm.conf"),
    _fault("cni-files", "m3", REFUSED, "mkdir -p /etc/cni/net.d; echo '{}' >/etc/cni/net.d/05-flannel.conflist"),
    _fault("mount-options", "w1", REFUSED, _tmpfs("/opt/cni/bin", "size=100m,noexec")),
    _fault("foreign-rules", "w1", REFUSED, "nft add table ip filter; nft add chain ip filter KUBE-SERVICES"),
    _fault("ipvs-rules", "w1", REFUSED, "ip link add kube-ipvs0 type bridge"),
    _fault("unique-address", "w1", REFUSED, "ip address add @m2@/32 dev lo"),
    _fault("network-overlap", "w1", REFUSED, "ip route add 10.244.128.0/17 via @gateway@"),
    _fault("mtu", "w1", WARNING, "ip link set eth0 mtu 1400"),
    _fault("port", "w1", REFUSED, "systemd-run -q --unit=squatter socat TCP-LISTEN:10250,fork,reuseaddr /dev/null"
           "; until ss -Hltn | grep -q :10250; do sleep 0.05; done"),
    _fault("package-lock", "w1", WARNING, _HOLD),
    _fault("kernel-modules", "w2", REFUSED, "mount -t tmpfs none /proc/sys/net/bridge; mount -t tmpfs none /sys/module"),
    _fault("apparmor", "w2", WARNING, "mount -t tmpfs none /sys/kernel/security; mkdir -p /sys/kernel/security/apparmor"
           "; mkdir -p /sys/module/apparmor/parameters; echo Y >/sys/module/apparmor/parameters/enabled"),
    _fault("sysctl", "w2", REFUSED, _over("/proc/sys/net/ipv4/ip_forward", "0", read_only=True)),
    _fault("dns", "w2", WARNING, "echo '# none' >/etc/resolv.conf"),
    _fault("limits", "w2", WARNING, _over("/proc/sys/kernel/pid_max", "4096")),
    _fault("time-sync", "w2", WARNING, "rm /run/systemd/container"),
    _fault("firewall-managers", "w2", WARNING, "mkdir -p /etc/ufw; echo ENABLED=yes >/etc/ufw/ufw.conf"
           "; for u in ufw firewalld; do systemd-run -q --unit=$u sleep 600; done"),
    _fault("os", "w2", WARNING, "rm /etc/os-release; printf 'ID=slackware\\nVERSION_ID=15.0\\n' >/etc/os-release"),
    _fault("kernel", "w2", REFUSED, _over("/proc/sys/kernel/osrelease", "4.18.0-553.el8")),
    _fault("systemd", "w2", REFUSED, _wrapped("systemctl", "'[ \"$1\" != --version ] || { echo systemd 239; exit; }' 'exec /bin/systemctl \"$@\"'")),
    _fault("architecture", "w2", REFUSED, _wrapped("uname", "'echo aarch64'")),
)  # fmt: skip
"""On hosts that have nothing of ours. ``address``, ``ssh`` and ``root`` are planted in the inventory (``test_preflight.py``)."""
