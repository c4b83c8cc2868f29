"""The floor: what ``cluster.up`` would install, brought and started by the plainest of scripts, all hosts at once."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from bench.clusters.hosts import Hosts, quoted
from kbootstrap import kubeconfig
from kbootstrap.catalog import names, paths
from kbootstrap.engine.prepare import prepare
from kbootstrap.engine.prepared import Prepared
from kbootstrap.lab import LabHost
from kbootstrap.model.events import silent
from kbootstrap.model.host import Role
from kbootstrap.model.resource import Binary, ContainerImage, Directory, File, Resource, Service, Sysctl, User
from kbootstrap.pki import issue
from kbootstrap.plan import etcd_members_sh
from kbootstrap.store import clock
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder

IMAGES = "/var/lib/race"
SPARED = ("kb-firewall.service",)  # its rules come with the plan


RACE_CONF = "/etc/kubernetes/race.conf"  # in system:masters, as nobody has bound a role yet


def material(hosts: Hosts) -> dict[str, tuple[Path, str]]:
    """Host → (its tar, its script): made before the clock starts, as a script's author has them."""
    prepared = prepare(Folder(root=hosts.inventory), silent, dry=False)
    return {host.name: _of(prepared, host, hosts.folder) for host in hosts.lab.hosts}


def _of(prepared: Prepared, host: LabHost, folder: Path) -> tuple[Path, str]:
    wanted = [resource for stage in prepared.desired.hosts[host.name].values() for resource in stage.resources]
    path = folder / f"floor-{host.name}.tar"
    pair, _ = issue.bootstrap_admin(prepared.pki, now=clock.now(), entropy=SystemEntropy(), minutes=60)
    judge = kubeconfig.for_host(prepared.spec, prepared.spec.host(host.name), "admin", ca_pem=prepared.pki.trust(names.CLUSTER_CA), pair=pair)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for resource in (*wanted, File(name=RACE_CONF, content=judge.encode(), mode=0o600)):
            _add(tar, resource)
    users = [f"useradd --system --shell /usr/sbin/nologin --home-dir {r.home} {r.name}" for r in wanted if isinstance(r, User)]
    kernel = [f"sysctl -qw {r.name}={r.value}" for r in wanted if isinstance(r, Sysctl)]
    units = quoted([r.name for r in wanted if isinstance(r, Service) and r.name not in SPARED])
    begin = [etcd_members_sh.begin(prepared.spec)] if host.role is Role.MASTER else []
    owned = [f"chown {r.owner} {r.name}" for r in wanted if isinstance(r, (Directory, File, Binary)) and r.owner != "root"]
    images = f"for i in {IMAGES}/*.tar; do {paths.BIN}/ctr -n k8s.io images import $i >/dev/null; done"
    steps = [*users, "tar -xf - -C / --no-same-owner", *owned, *kernel, *begin, "systemctl daemon-reload", f"systemctl start --no-block {units}"]
    waits = f"until {paths.BIN}/ctr version >/dev/null 2>&1; do sleep 0.1; done"
    return path, "\n".join([*steps, waits, images])


def _add(tar: tarfile.TarFile, resource: Resource) -> None:
    entry = tarfile.TarInfo(resource.name.lstrip("/"))
    if isinstance(resource, Directory):
        entry.type, entry.mode = tarfile.DIRTYPE, resource.mode
        tar.addfile(entry)
    elif isinstance(resource, File):
        entry.size, entry.mode = len(resource.content), resource.mode
        tar.addfile(entry, io.BytesIO(resource.content))
    elif isinstance(resource, (Binary, ContainerImage)):
        if isinstance(resource, ContainerImage):
            entry.name = f"{IMAGES}/{resource.blob.sha256}.tar".lstrip("/")
        entry.size, entry.mode = resource.blob.size, 0o755
        with resource.blob.path.open("rb") as file:
            tar.addfile(entry, file)


def run(hosts: Hosts, made: dict[str, tuple[Path, str]]) -> None:
    """Push, start, and wait for every node."""
    hosts.each(lambda host: hosts.ssh(host, made[host.name][1], made[host.name][0]))
    hosts.ready(f"{paths.BIN}/kubectl --kubeconfig={RACE_CONF}", nodes=len(hosts.lab.hosts))
