"""What hosts answer to the preflight's survey, as captured from real ones, with a line changed for each fault."""

from __future__ import annotations

from kbootstrap.model.facts import Facts
from kbootstrap.model.host import Host

HEALTHY = """\
uuid=4c4c4544-0042-3510-8052-@number@
controllers=cpuset cpu io memory hugetlb pids rdma misc
sysctl=rw /proc/sys/net/ipv4/ip_forward 0
sysctl=rw /proc/sys/net/bridge/bridge-nf-call-iptables 1
link=eth0 1500 02:4b:0a:4d:00:@number@
key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII5GUveMTp8Mi65GwTcW70jFm@number@
module=overlay present
module=br_netfilter loadable
module=nf_conntrack present
place=/var/lib/etcd /var/lib
place=/var/lib/containerd /var/lib
place=/var/lib/kubelet /var/lib
place=/var/lib/kbootstrap /var/lib
place=/usr/local/bin /usr/local/bin
place=/opt/cni/bin /opt
place=/etc/kubernetes /etc
place=/etc/systemd/system /etc/systemd/system
place=/var/log /var/log
place=/tmp /tmp
place=/run/kbootstrap /run
room=/var/lib 4096 15235569 16777216 15846977
room=/usr/local/bin 4096 15235569 16777216 15846977
room=/opt 4096 15235569 16777216 15846977
room=/etc 4096 15235569 16777216 15846977
room=/etc/systemd/system 4096 15235569 16777216 15846977
room=/var/log 4096 15235569 16777216 15846977
room=/tmp 4096 617098 409600 409590
room=/run 4096 1233685 819200 819019
limit=/proc/sys/kernel/pid_max 4194304
limit=/proc/sys/kernel/threads-max 192731
limit=/proc/sys/fs/file-max 9223372036854775807
mount=/ rw,relatime
mount=/tmp rw,nosuid,nodev,noexec,size=2468412k,nr_inodes=409600
mount=/run rw,nosuid,nodev,size=4936820k,nr_inodes=819200,mode=755
own=127.0.1.1
own=@address@
nameserver=10.77.0.1
resolver=read
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet @address@/24 brd 10.77.0.255 scope global eth0\\       valid_lft forever preferred_lft forever
default via 10.77.0.1 dev eth0 proto dhcp src @address@ metric 100
10.77.0.0/24 dev eth0 proto kernel scope link src @address@
thorough=1
lookup=0 15691.98 15692.03 registry.k8s.io
Id=systemd-timesyncd.service
ActiveState=active

Id=ufw.service
ActiveState=active

Id=firewalld.service
ActiveState=inactive

Id=docker.service
ActiveState=inactive
socket=tcp 0.0.0.0:22 53 /system.slice/ssh.service sshd
socket=tcp [::]:22 53 /system.slice/ssh.service sshd
socket=udp 127.0.0.53%lo:53 401 /system.slice/systemd-resolved.service systemd-resolve
sync=65536 bytes (66 kB, 64 KiB) copied, 0.0466987 s, 1.4 MB/s
"""


def said(host: Host, changes: dict[str, str]) -> str:
    """The healthy answer of *host* with lines replaced; a replacement of "" is added at the end."""
    text = HEALTHY
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after) if before else text + after + "\n"
    return text.replace("@address@", str(host.address)).replace("@number@", str(host.address).rpartition(".")[2])


def facts(host: Host) -> Facts:
    """Of a healthy host."""
    return Facts(
        hostname=host.name,
        arch="amd64",
        os="debian 12",
        kernel="6.1.0-18-amd64",
        systemd=252,
        cpus=2,
        memory_kb=4_026_316,
        cgroup="v2",
        machine_id=f"id-{host.name}",
        addresses=("127.0.0.1/8", f"{host.address}/24"),
    )
