"""What other installers left: refused by ``cluster.up``, listed thing by thing, removed when asked, and the host is then as it was before them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from bench.clusters import kubeadm
from bench.clusters.hosts import Hosts
from kbootstrap.catalog import paths
from kbootstrap.engine import foreign
from kbootstrap.engine.down import down
from kbootstrap.engine.foreign import Found
from kbootstrap.errors import PreflightError
from tests.lab.conftest import Cluster, OwnHosts
from tests.lab.whole_host import inside, same, settled

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("lab_machine")]

# Of somebody else, and in the way of whoever flushes or restarts: chains in the same tables, an interface, a namespace, a process, a folder.
MINE = r"""
set -e
iptables -A INPUT -p tcp --dport 9999 -j ACCEPT; iptables -t nat -N MINE; iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MINE
nft add table inet mine; nft add chain inet mine c; ip link add mine0 type bridge; ip netns add mine
mkdir -p /etc/cni/net.d; echo '{}' > /etc/cni/net.d/87-podman.conflist; mkdir -p /etc/kubernetes; echo own > /etc/kubernetes/own.yaml
iptables -t filter -N OTHER; iptables -A FORWARD -j OTHER
for f in iptables ip6tables; do
  $f -A FORWARD -p udp --dport 9 -j ACCEPT; for c in PREROUTING OUTPUT; do $f -t nat -A $c -p udp --dport 9 -j RETURN; done
done
mkdir -p /var/lib/etcd /etc/rancher /var/lib/rancher
"""

# Chains, interfaces, mounts and namespaces as kube-proxy, kubelet and a network plugin leave them.
PODS = r"""
set -e
for f in iptables ip6tables; do
  $f -t nat -N KUBE-SERVICES; $f -t nat -N KUBE-SVC-ABC; $f -t nat -N KUBE-MARK-MASQ; $f -t nat -N CNI-HOSTPORT-DNAT
  $f -t nat -I PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES; $f -t nat -I OUTPUT -j KUBE-SERVICES
  $f -t nat -A KUBE-SERVICES -p tcp --dport 443 -j KUBE-SVC-ABC; $f -t nat -A KUBE-SVC-ABC -j KUBE-MARK-MASQ
  $f -t nat -A PREROUTING -j CNI-HOSTPORT-DNAT
  $f -N KUBE-FORWARD; $f -I FORWARD -j KUBE-FORWARD; $f -A KUBE-FORWARD -j ACCEPT
done
nft add table ip kube-proxy; nft add chain ip kube-proxy services
ip link add cni0 type bridge; ip link add flannel.1 type bridge; ip netns add cni-11111111-2222-3333-4444-555555555555
d='/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/token'; mkdir -p $d; mount -t tmpfs none $d; echo secret > $d/token
mkdir -p /var/lib/cni/networks/cbr0 /run/flannel; echo x > /run/flannel/subnet.env; echo '{}' > /etc/cni/net.d/10-flannel.conflist
"""

KUBEADM = r"""
set -e
mkdir -p /etc/kubernetes/manifests /etc/kubernetes/pki/etcd /etc/systemd/system/kubelet.service.d /var/lib/etcd/member/wal
for n in kube-apiserver kube-controller-manager kube-scheduler etcd; do echo "kind: Pod" > /etc/kubernetes/manifests/$n.yaml; done
for n in admin super-admin kubelet controller-manager scheduler; do echo "kind: Config" > /etc/kubernetes/$n.conf; done
echo theirs > /etc/kubernetes/pki/ca.crt; echo theirs > /etc/kubernetes/pki/etcd/ca.crt; echo data > /var/lib/etcd/member/wal/0.wal
echo 'KUBELET_KUBEADM_ARGS=--x' > /var/lib/kubelet/kubeadm-flags.env; echo 'kind: KubeletConfiguration' > /var/lib/kubelet/config.yaml
printf '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/kubelet.service
printf '[Service]\nEnvironment=A=B\n' > /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
systemctl daemon-reload; systemctl --quiet enable --now kubelet.service
"""

# What k3s starts lives on when its unit stops (KillMode=process), as its shims do.
K3S = r"""
set -e
mkdir -p /var/lib/rancher/k3s/data/x/bin /var/lib/rancher/k3s/agent /etc/rancher/k3s /etc/rancher/node /run/k3s
cp /bin/sleep /usr/local/bin/k3s; cp /bin/sleep /var/lib/rancher/k3s/data/x/bin/containerd-shim-runc-v2
for c in kubectl crictl ctr; do ln -s k3s /usr/local/bin/$c; done
printf '#!/bin/sh\nexit 1\n' > /usr/local/bin/k3s-uninstall.sh; chmod 755 /usr/local/bin/k3s-uninstall.sh
echo token > /var/lib/rancher/k3s/agent/node-token; echo password > /etc/rancher/node/password
cat > /etc/systemd/system/k3s-agent.service <<'UNIT'
[Service]
KillMode=process
ExecStart=/bin/sh -c '/var/lib/rancher/k3s/data/x/bin/containerd-shim-runc-v2 86400 & exec /usr/local/bin/k3s 86400'
[Install]
WantedBy=multi-user.target
UNIT
touch /etc/systemd/system/k3s-agent.service.env; systemctl daemon-reload; systemctl --quiet enable --now k3s-agent.service
"""
LISTED = {
    "m1": ("left by kubeadm:", "    kubelet.service", "    /etc/kubernetes/pki", "    /var/lib/etcd/member", "    /var/lib/kubelet", "    cni0"),
    "w1": ("left by k3s:", "    k3s-agent.service", "    /usr/local/bin/kubectl", "    /var/lib/rancher/k3s", "    flannel.1", "    /run/k3s"),
}
BOTH = (
    "    /var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/token",
    "    /run/netns/cni-11111111-2222-3333-4444-555555555555",
    "    chains ip nat KUBE- 3",
    "    chains ip6 nat CNI- 1",
    "    table ip kube-proxy",
    "    /etc/cni/net.d/10-flannel.conflist",
)


@pytest.fixture(scope="module")
def pair(own_hosts: OwnHosts) -> Iterator[Cluster]:
    with own_hosts("kbfor", masters=1, workers=1) as own:
        yield own


def cleaned(cluster: Cluster, *, agreed: bool, **options: object) -> tuple[list[str], dict[str, list[str]]]:
    """What a run of ``cluster.down --foreign`` says at its end, and by host what it listed before."""
    listed: dict[str, list[str]] = {}

    def confirm(found: Sequence[Found]) -> bool:
        listed.update({each.host.name: [line.removeprefix("  ") for line in each.lines()] for each in found})
        return agreed

    return list(foreign.remove(cluster.request(**options), confirm)), listed


@pytest.mark.long(seconds=70)
def test_remains_of_kubeadm_and_k3s_are_refused_listed_and_removed_and_nothing_else(pair: Cluster) -> None:
    m1, w1 = pair.lab.hosts
    for host in (m1, w1):
        inside(host, MINE)
    before = settled(pair)
    for host, planted in ((m1, KUBEADM), (w1, K3S)):
        inside(host, PODS + planted)
    full = settled(pair)
    with pytest.raises(PreflightError) as refused:
        pair.up()
    said = [str(problem) for problem in refused.value.problems]
    for name, installer in (("m1", "kubeadm"), ("w1", "k3s")):
        assert any(re.search(rf"{name}.*{installer}.*invoke cluster.down --foreign", line) for line in said), said
    ended, listed = cleaned(pair, agreed=False)
    assert ended == []
    for name, wanted in LISTED.items():
        assert set(wanted) | set(BOTH) <= set(listed[name]), listed[name]
    same(full, settled(pair))

    ended, _ = cleaned(pair, agreed=True)
    assert [re.sub(r"\d+", "N", line) for line in ended] == [
        f"{name}: removed N things; looked again: nothing of it is left" for name in ("mN", "wN")
    ]
    same(before, settled(pair))
    ended, listed = cleaned(pair, agreed=True)
    assert (ended, listed) == ([], {name: [f"{name}: nothing foreign is known here"] for name in ("m1", "w1")})
    pair.up()
    _, listed = cleaned(pair, agreed=True)
    assert all("is this cluster's own" in lines[0] for lines in listed.values())
    list(down(pair.request()))
    same(before, settled(pair))


@pytest.mark.long(seconds=150)
def test_a_living_cluster_of_kubeadm_gives_its_hosts_to_ours(own_hosts: OwnHosts) -> None:
    with own_hosts("kbadm", masters=1, workers=1) as own:
        theirs = Hosts(lab=own.lab, folder=own.folder.root.parents[1])
        for host in own.lab.hosts:  # as the benchmark's hosts: root takes the operator's key
            place = host.home / "seed/root/.ssh/authorized_keys"
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.write_text((own.folder.root / "ssh/id_ed25519.pub").read_text())
        theirs.bare()
        kubeadm.run(theirs, kubeadm.material(theirs))
        with pytest.raises(PreflightError):
            own.up()
        ended, listed = cleaned(own, agreed=True)
        assert [re.sub(r"\d+", "N", line) for line in ended] == [
            f"{name}: removed N things; looked again: nothing of it is left" for name in ("mN", "wN")
        ]
        assert {"left by kubeadm:", "    kubelet.service", "    table ip kube-proxy", "    /var/lib/etcd/member", "    cni0"} <= set(listed["m1"])
        own.up()
        said = list(down(own.request()))
        assert all("restored /etc/containerd/config.toml" in line and line.endswith("nothing of ours is left") for line in said[:2]), said


@pytest.mark.long(seconds=60)
def test_a_cluster_of_ours_that_was_given_up_is_removed_by_its_own_record(pair: Cluster) -> None:
    before = settled(pair)
    pair.up()
    pair.folder.state.rename(pair.folder.state.with_suffix(".gone"))
    pair.folder.pki.rename(pair.folder.pki.with_suffix(".gone"))
    with pytest.raises(PreflightError, match="failed; nothing was changed") as refused:
        pair.up()
    assert any("invoke cluster.down --foreign" in str(problem) for problem in refused.value.problems)
    ended, listed = cleaned(pair, agreed=True, limit=("w1",))
    assert listed.keys() == {"w1"}
    assert any(line.startswith("left by the kbootstrap cluster") for line in listed["w1"])
    assert any("kubelet.service" in line for line in listed["w1"])
    assert len(ended) == 1
    assert ended[0].startswith("w1: removed")
    assert ended[0].endswith("nothing of ours is left")
    assert "test ok" in inside(pair.lab.host("m1"), f"[ -e {paths.LEDGER} ] && echo test ok\n")
    cleaned(pair, agreed=True)
    same(before, settled(pair))
