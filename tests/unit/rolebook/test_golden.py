"""Every text that lands on a host, for two clusters: what a reviewer reads when a template, a flag or a role changes."""

from __future__ import annotations

from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.cluster import ClusterSpec, Endpoint, EndpointKind, Network, Plugin
from kbootstrap.model.host import Host
from kbootstrap.model.resource import Blob, File
from kbootstrap.plan.stages import STAGES
from kbootstrap.render.env import Renderer
from kbootstrap.resources.firewall import script
from kbootstrap.rolebook import parse
from kbootstrap.rolebook.expand import World, applies, expand
from kbootstrap.rolebook.openings import openings
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.testing import golden
from kbootstrap.testing.builders import a_cluster, a_pki

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
VERSIONS = {"etcd": "3.6.14", "containerd": "2.3.4", "runc": "1.4.3", "cni-plugins": "1.9.1", "coredns": "1.14.7"}
PODS, SERVICES = IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16")
IMAGES = {"pause": "registry.example/pause:3.10", "coredns": "registry.example/coredns:v1.14.7", "testserver": "registry.example/agnhost:2.53"}

CLUSTERS = {
    "routes": a_cluster(3, 2, name="routes", versions=VERSIONS),
    "vxlan": a_cluster(
        1,
        0,
        name="vxlan",
        versions=VERSIONS,
        network=Network(pods=PODS, services=SERVICES, plugin=Plugin.VXLAN),
        endpoint=Endpoint(kind=EndpointKind.GATEWAY),
    ),
}


@cache
def roles() -> tuple[RoleDef, ...]:
    """All roles, in the order of the stages."""
    names = [name for stage in STAGES for name in stage.roles]
    return tuple(parse.role((ROOT / "roles" / name / "role.yml").read_text(), f"roles/{name}/role.yml") for name in names)


def world(spec: ClusterSpec) -> World:
    """*spec* with binaries that are not looked into."""
    names = {binary.name for role in roles() for binary in role.binaries}
    blob = Blob(sha256="0" * 64, size=1, path=Path("/nowhere"))
    return World(
        spec=spec,
        pki=a_pki(len(spec.masters), len(spec.workers)),
        renderer=Renderer([ROOT / "templates"]),
        pod_ranges={host.name: IPv4Network(f"10.244.{n}.0/24") for n, host in enumerate(spec.hosts)},
        binaries={"amd64": dict.fromkeys(names, blob)},
        images={"amd64": {name: (reference, None) for name, reference in IMAGES.items()}},
    )


def texts(spec: ClusterSpec, host: Host) -> dict[str, str]:
    """Path without its leading slash → content, of all that is neither secret nor a certificate."""
    here = world(spec)
    resources = (resource for role in roles() if applies(role, spec, host) for resource in expand(here, role, host))
    files = (r for r in resources if isinstance(r, File) and not r.secret)
    found = {f.name.removeprefix("/"): f.content.decode() for f in files if not f.name.startswith((paths.PKI, paths.ETCD_PKI))}
    return found | {paths.FIREWALL_SCRIPT.removeprefix("/"): script.build(script.complete(openings(spec, host), (22,))).decode()}


def manifests(spec: ClusterSpec) -> dict[str, str]:
    """Template → text, of what the API is given."""
    here = world(spec)
    view = here.view(spec.masters[0])
    return {m.template.removesuffix(".j2"): here.renderer.render(m.template, view) for role in roles() for m in role.manifests}


@pytest.mark.parametrize(("cluster", "host"), [("routes", "m1"), ("routes", "w1"), ("vxlan", "m1")])
def test_files_of_a_host(cluster: str, host: str) -> None:
    spec = CLUSTERS[cluster]
    golden.check(GOLDEN / cluster / host, texts(spec, spec.host(host)))


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_manifests_of_a_cluster(cluster: str) -> None:
    golden.check(GOLDEN / cluster / "api", manifests(CLUSTERS[cluster]))
