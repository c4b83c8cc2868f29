"""kubeadm as its expert would script it: everything pushed to all hosts at once, images imported, init, masters joined, workers beside them."""

from __future__ import annotations

import secrets
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from bench.clusters import images
from bench.clusters.hosts import Hosts, together
from bench.clusters.kubeadm_binary import kubeadm
from kbootstrap import inventory
from kbootstrap.engine.prepare import versions
from kbootstrap.lab import LabHost
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.store import artifacts
from kbootstrap.store import images as bundled

NODE = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "kubelet", "kubectl")
CNI = ("bridge", "loopback", "host-local", "portmap")
CONTROL = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
REGISTRY = "registry.k8s.io"
IMAGES = "/var/lib/race"
IGNORED = ("SystemVerification", "Swap", "NumCPU", "Mem", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables", "Hostname")

KUBELET_UNIT = """\
[Unit]
After=containerd.service
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=1
StartLimitInterval=0
[Install]
WantedBy=multi-user.target
"""
CONTAINERD_UNIT = """\
[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Restart=always
Delegate=yes
KillMode=process
LimitNOFILE=1048576
[Install]
WantedBy=multi-user.target
"""
CNI_CONFIG = """\
{"cniVersion": "1.0.0", "name": "race", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.%d.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
"""
START = f"""\
tar -xf - -C / --no-same-owner
sysctl -qw net.ipv4.ip_forward=1
systemctl daemon-reload
systemctl enable -q --now containerd
systemctl enable -q kubelet
for i in {IMAGES}/*.tar; do ctr -n k8s.io images import $i >/dev/null; done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What the script's author has ready: a tar for each host."""

    version: str
    coredns: str
    etcd: str
    tars: dict[str, Path]
    heartbeat_ms: int
    election_ms: int


def material(hosts: Hosts) -> Kit:
    """The tars, made before the clock starts."""
    spec = inventory.load(hosts.inventory / "cluster.yml")
    known = versions(spec)
    ready = artifacts.fetch([*NODE, *CNI, *CONTROL, "kube-proxy"], known, "amd64", spec.artifacts)
    programs = {name: ready[name].path for name in ready} | {"kubeadm": kubeadm(spec.kubernetes, "amd64")}
    packed = _images(hosts, spec, programs)
    tars = {}
    for number, host in enumerate(hosts.lab.hosts):
        tars[host.name] = hosts.folder / f"kubeadm-{host.name}.tar"
        mine = {n: p for n, p in packed.items() if host in hosts.lab.masters or n not in CONTROL}
        with tarfile.open(tars[host.name], "w", format=tarfile.GNU_FORMAT) as tar:
            _fill(tar, hosts.folder, programs, mine, spec, number)
    return Kit(
        version=spec.kubernetes,
        coredns=known["coredns"],
        etcd=known["etcd"],
        tars=tars,
        heartbeat_ms=spec.etcd.heartbeat_ms,
        election_ms=spec.etcd.election_ms,
    )


def _images(hosts: Hosts, spec: ClusterSpec, programs: dict[str, Path]) -> dict[str, Path]:
    known, folder = versions(spec), hosts.folder
    found = {}
    for name in (*CONTROL, "kube-proxy"):
        ref = f"{REGISTRY}/{name}:" + (f"{known['etcd']}-0" if name == "etcd" else f"v{spec.kubernetes}")
        files = {f"/usr/local/bin/{name}": programs[name]}
        if name == "kube-proxy":
            files |= images.program(hosts.lab.hosts[0].image, "/usr/sbin/nft")
        found[name] = images.pack(folder / f"image-{name}.tar", ref, files, arch="amd64")
    ours = bundled.bundle(["pause", "coredns"], known, "amd64", spec.artifacts)
    return found | {name: image.path for name, image in ours.items()}


def _fill(tar: tarfile.TarFile, folder: Path, programs: dict[str, Path], packed: dict[str, Path], spec: ClusterSpec, number: int) -> None:
    for name in NODE:
        tar.add(programs[name], arcname=("usr/bin/" if name == "kubelet" else "usr/local/bin/") + name)
    tar.add(programs["kubeadm"], arcname="usr/local/bin/kubeadm")
    for name in CNI:
        tar.add(programs[name], arcname=f"opt/cni/bin/{name}")
    for name, path in packed.items():
        tar.add(path, arcname=f"{IMAGES.lstrip('/')}/{name}.tar")
    texts = {
        "etc/systemd/system/kubelet.service": KUBELET_UNIT,
        "etc/systemd/system/containerd.service": CONTAINERD_UNIT,
        "etc/cni/net.d/10-race.conflist": CNI_CONFIG % (number + 1),
        "etc/containerd/config.toml": _containerd(spec),
    }
    for name, text in texts.items():
        here = folder / "text"
        here.write_text(text)
        tar.add(here, arcname=name)


def _containerd(spec: ClusterSpec) -> str:
    pause = bundled.bundle(["pause"], versions(spec), "amd64", spec.artifacts)["pause"].ref
    restrict = str(spec.hosts[0].runtime.restrict_oom_score_adj).lower()
    return (
        f"version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = '{pause}'\n"
        f"[plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = {restrict}\n"
        f"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n"
        f"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  SystemdCgroup = true\n"
    )


def run(hosts: Hosts, kit: Kit) -> None:
    """Push and import everywhere at once; init; then masters one after the other, as its documentation shows, and workers beside them."""
    first, *others = hosts.lab.masters
    hosts.each(lambda host: hosts.ssh(host, START, kit.tars[host.name]))
    token, key = f"{secrets.token_hex(3)}.{secrets.token_hex(8)}", secrets.token_hex(32)
    _write(hosts, first, _init(hosts, kit, token, key))
    hosts.ssh(first, "kubeadm init --config /root/kubeadm.yaml --upload-certs --skip-token-print")

    def join(host: LabHost) -> None:
        _write(hosts, host, _join(hosts, host, token, key))
        hosts.ssh(host, "kubeadm join --config /root/kubeadm.yaml")

    def masters() -> None:
        for host in others:
            join(host)

    together([masters, *(partial(join, host) for host in hosts.lab.workers)])
    kubectl = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
    hosts.ready(kubectl, nodes=len(hosts.lab.hosts))
    hosts.ssh(first, f"{kubectl} -n kube-system rollout status deployment/coredns --timeout=300s")


def _write(hosts: Hosts, host: LabHost, documents: list[dict[str, object]]) -> None:
    path = hosts.folder / f"kubeadm-{host.name}.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    hosts.ssh(host, "umask 077; cat > /root/kubeadm.yaml", path)


def _registration(host: LabHost) -> dict[str, object]:
    arguments = [{"name": "node-ip", "value": str(host.address)}]
    return {
        "name": host.name,
        "criSocket": "unix:///run/containerd/containerd.sock",
        "imagePullPolicy": "Never",
        "ignorePreflightErrors": list(IGNORED),
        "kubeletExtraArgs": arguments,
    }


def _init(hosts: Hosts, kit: Kit, token: str, key: str) -> list[dict[str, object]]:
    api = "kubeadm.k8s.io/v1beta4"
    first = hosts.lab.masters[0]
    pace = [{"name": "heartbeat-interval", "value": str(kit.heartbeat_ms)}, {"name": "election-timeout", "value": str(kit.election_ms)}]
    return [
        {
            "apiVersion": api,
            "kind": "InitConfiguration",
            "bootstrapTokens": [{"token": token, "ttl": "1h", "usages": ["signing", "authentication"], "groups": [GROUP]}],
            "localAPIEndpoint": {"advertiseAddress": str(first.address), "bindPort": 6443},
            "nodeRegistration": _registration(first),
            "certificateKey": key,
        },
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{kit.version}",
            "controlPlaneEndpoint": f"{first.address}:6443",
            "networking": {"podSubnet": "10.244.0.0/16"},
            "etcd": {"local": {"imageTag": f"{kit.etcd}-0", "extraArgs": pace}},
            "dns": {"imageRepository": "kbootstrap.local", "imageTag": kit.coredns},
        },
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            "failSwapOn": False,
            "failCgroupV1": False,
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "conntrack": {"maxPerCore": 0},
        },
    ]


GROUP = "system:bootstrappers:kubeadm:default-node-token"


def _join(hosts: Hosts, host: LabHost, token: str, key: str) -> list[dict[str, object]]:
    discovery = {"token": token, "apiServerEndpoint": f"{hosts.lab.masters[0].address}:6443", "unsafeSkipCAVerification": True}
    document: dict[str, object] = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": discovery},
        "nodeRegistration": _registration(host),
    }
    if host in hosts.lab.masters:
        document["controlPlane"] = {"localAPIEndpoint": {"advertiseAddress": str(host.address), "bindPort": 6443}, "certificateKey": key}
    return [document]
