"""From the operator's files to Desired: inventory, PKI, artifacts and roles, before any host is contacted. Additive; a dry run issues into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

from kbootstrap import inventory
from kbootstrap.catalog import releases
from kbootstrap.engine import offline
from kbootstrap.engine.nodes import node
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.timing import span
from kbootstrap.errors import RoleError
from kbootstrap.model.cluster import ClusterSpec, ImageSource
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.events import Listener
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Issued, Pki
from kbootstrap.model.plan import Gate
from kbootstrap.model.resource import Blob, ContainerImage, Manifest, Resource, Service
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import manifests
from kbootstrap.plan.checks import gates
from kbootstrap.plan.stages import RUNTIME, STAGES
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook import parse as rolebook
from kbootstrap.rolebook.expand import World, applies, expand
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.store import artifacts, assets, clock, images, pki_dir, state
from kbootstrap.store.artifacts import pins
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder

BOOTSTRAP_ROLE = "rbac"
Expanding = Callable[[World, RoleDef, Host], Iterable[Resource]]


def roles() -> dict[str, RoleDef]:
    """Every role that a stage names, by name."""
    root = assets.folder("roles")
    return {name: _role(root / name / "role.yml") for stage in STAGES for name in stage.roles}


def _role(path: Path) -> RoleDef:
    return rolebook.role(path.read_text(), f"roles/{path.parent.name}/{path.name}")


def prepare(folder: Folder, listener: Listener, *, dry: bool, kubernetes: str = "") -> Prepared:
    """Raises InventoryError, PkiError, ArtifactError, RoleError or TemplateError: all problems of the operator's side, before any contact.

    *kubernetes*: as if cluster.yml named that version.
    """
    with span(listener, "inventory and certificates"):
        spec, known, pki, issued = _own(folder, dry=dry, kubernetes=kubernetes)
    defined = roles()
    with span(listener, "artifacts"):
        reach = artifacts.Reach()
        pinned = pins.load(folder.pins)
        binaries, images_ = offline.both(lambda: _binaries(spec, defined, pinned, reach, listener), lambda: _images(spec, defined, reach, listener))
    with span(listener, "rendering"):
        world = World(
            spec=spec,
            pki=pki,
            renderer=Renderer((folder.overrides, assets.folder("templates")), assets.compiled()),
            pod_ranges=known.pod_ranges,
            binaries=binaries,
            images=images_,
        )
        desired = desire(world, defined, known.pod_ranges)
    return Prepared(folder=folder, spec=spec, state=known, pki=pki, issued=issued, world=world, desired=desired)


def _own(folder: Folder, *, dry: bool, kubernetes: str) -> tuple[ClusterSpec, state.State, Pki, tuple[Issued, ...]]:
    """What lies in the cluster's folder, complete; written back unless *dry*."""
    spec = inventory.load(folder.cluster_yml, kubernetes=kubernetes)
    offline.confine(spec)
    known = state.complete(state.load(folder.state), spec)
    pki, issued = issue.complete(pki_dir.load(folder.pki), profiles(spec), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    if not dry:
        pki_dir.save(folder.pki, pki, issued)
        if known != state.load(folder.state):
            state.save(folder.state, known)
    return spec, known, pki, issued


def versions(spec: ClusterSpec) -> dict[str, str]:
    """Component → version: the catalog's defaults for this Kubernetes, and the inventory's own over them."""
    return {**releases.default_versions(spec.kubernetes), **spec.versions, "kubernetes": spec.kubernetes}


def _binaries(
    spec: ClusterSpec, defined: Mapping[str, RoleDef], pinned: Mapping[str, releases.Checksum], reach: artifacts.Reach, listener: Listener
) -> dict[str, dict[str, Blob]]:
    found = {}
    for arch in {host.arch for host in spec.hosts}:
        mine = [host for host in spec.hosts if host.arch == arch]
        wanted = {b.name for role in defined.values() for b in role.binaries if any(applies(role, spec, host) for host in mine)}
        ready = artifacts.fetch(sorted(wanted), versions(spec), arch, spec.artifacts, listener=listener, pins=pinned, reach=reach)
        found[arch] = {name: Blob(sha256=a.sha256, size=a.size, path=a.path) for name, a in ready.items()}
    return found


def _images(
    spec: ClusterSpec, defined: Mapping[str, RoleDef], reach: artifacts.Reach, listener: Listener
) -> dict[str, dict[str, tuple[str, Blob | None]]]:
    wanted = sorted({name for role in defined.values() for name in role.images})
    found: dict[str, dict[str, tuple[str, Blob | None]]] = {}
    for arch in {host.arch for host in spec.hosts}:
        if spec.artifacts.images is ImageSource.PULL:
            found[arch] = {name: (ref, None) for name, ref in images.pull_refs(wanted, versions(spec)).items()}
            continue
        ready = images.bundle(wanted, versions(spec), arch, spec.artifacts, listener=listener, reach=reach)
        found[arch] = {n: (i.ref, Blob(sha256=i.sha256, size=i.size, path=i.path)) for n, i in ready.items()}
    return found


def desire(world: World, defined: Mapping[str, RoleDef], pod_ranges: Mapping[str, IPv4Network]) -> Desired:
    """Expand every role on every host that it is for, stage by stage."""
    hosts = {host.name: stages(world, defined, host) for host in world.spec.hosts}
    objects = {name: _manifests(world, role) for name, role in defined.items() if role.manifests}
    nodes = tuple(node(world.spec, host, pod_ranges[host.name]) for host in world.spec.hosts)
    others = tuple(m for name, found in objects.items() for m in found)
    return Desired(hosts=hosts, cluster=(*nodes, *others), bootstrap=objects.get(BOOTSTRAP_ROLE, ()))


def _manifests(world: World, role: RoleDef) -> tuple[Manifest, ...]:
    host = world.spec.masters[0]  # any host: manifests are the cluster's, and see nothing of a host
    return tuple(m for d in role.manifests for m in manifests.parse(world.renderer.render(d.template, world.view(host)), d.template))


def stages(world: World, defined: Mapping[str, RoleDef], host: Host, expanding: Expanding = expand) -> dict[str, Wanted]:
    """What every role wants of *host*, stage by stage, or of it what *expanding* tells.

    Roles may name the same directory, certificate or binary; the first stage makes it, a contradiction is a mistake in the roles.
    """
    known: dict[str, Resource] = {}
    found = {}
    for stage in STAGES:
        resources, health = _wanted(world, defined, stage.roles, host, expanding)
        for resource in resources:
            if known.setdefault(resource.key, resource) != resource:
                raise RoleError(f"two roles want {resource.key} differently: {known[resource.key]} and {resource}")
        found[stage.name] = Wanted(resources=tuple(r for r in resources if known[r.key] is r), gates=tuple(health))
    return _images_first(found)


def _images_first(stages: Mapping[str, Wanted]) -> dict[str, Wanted]:
    """Images right behind the runtime: a kubelet that meets a pod before its image backs off, in the end for minutes."""
    images = tuple(r for wanted in stages.values() for r in wanted.resources if isinstance(r, ContainerImage))
    found = {}
    for name, wanted in stages.items():
        others = tuple(r for r in wanted.resources if not isinstance(r, ContainerImage))
        found[name] = Wanted(resources=(*others, *(images if name == RUNTIME else ())), gates=wanted.gates)
    return found


def _wanted(
    world: World, defined: Mapping[str, RoleDef], roles_: tuple[str, ...], host: Host, expanding: Expanding
) -> tuple[list[Resource], list[Gate]]:
    resources: list[Resource] = []
    health: list[Gate] = []
    for name in roles_:
        role = defined[name]
        if not applies(role, world.spec, host):
            continue
        mine = [_with_ahead(world.spec, role, host, resource) for resource in expanding(world, role, host)]
        resources += mine
        if any(isinstance(r, Service) for r in mine):
            health.append(_gate(role, host, [r.name for r in mine if isinstance(r, Service)]))
    return resources, health


def _with_ahead(spec: ClusterSpec, role: RoleDef, host: Host, resource: Resource) -> Resource:
    ahead = gates.AHEAD.get(role.health)
    return replace(resource, ahead=ahead(host, spec.masters)) if ahead and isinstance(resource, Service) else resource


def _gate(role: RoleDef, host: Host, units: list[str]) -> Gate:
    if role.health not in gates.HEALTH:
        raise RoleError(f"roles/{role.name}/role.yml: no health gate is called «{role.health}»", hint=f"Known: {', '.join(gates.HEALTH)}.")
    return gates.HEALTH[role.health](host, units)
