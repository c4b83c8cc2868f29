"""What daemons make on a host by themselves: noted before they come (``plan/before.py``), removed when they go (``plan/leaving.py``).

To add a component that keeps data: its directory here, beside the roles that say who may enter it.
"""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog import paths

FILLED: Final = (
    paths.ETCD_DATA,
    "/var/lib/kubelet",
    "/var/lib/kube-proxy",
    "/var/log/kubernetes",
    "/etc/cni/net.d",  # network plugins that run as pods write here
    "/opt/cni/bin",
)
"""Directories of roles that daemons fill: of a host whose roles name them."""

MADE: Final = (
    "/var/lib/containerd",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
    "/opt/containerd",
    "/usr/libexec/kubernetes",
    "/run/containerd",
    "/run/cni",
    "/run/nri",
)
"""Directories that containerd, kubelet and the CNI plugins make on every host."""

NAMESPACES: Final = "/run/netns"
NAMESPACE_PREFIX: Final = "cni-"  # containerd's; ``ip netns`` keeps its own in the same directory

SYSCTLS: Final = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.accept_redirects",  # follows ip_forward, so it comes after it
    "net.ipv4.conf.all.route_localnet",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
)
"""Kernel settings that kubelet, kube-proxy and the bridge plugin write."""

NFT_TABLES: Final = ("kbootstrap", "kube-proxy", "cni_hostport")
"""Tables of our pod network, of kube-proxy and of the portmap plugin, in the families ip and ip6."""

IPTABLES_TABLES: Final = ("filter", "nat", "mangle")
"""Where kubelet and kube-proxy keep chains of their own; iptables makes these tables, and their built-in chains, in nftables when there are none."""

IPTABLES_CHAINS: Final = ("INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING")
IPTABLES_PREFIX: Final = "KUBE-"
IPVS_LINK: Final = "kube-ipvs0"
POD_CGROUPS: Final = ("kubepods.slice", "kubepods")  # by the systemd and the cgroupfs driver
SHIM: Final = f"{paths.BIN}/containerd-shim-runc-v2"
