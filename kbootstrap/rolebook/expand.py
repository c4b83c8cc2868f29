"""Role × host → resources and gates. Everything comes from the operator's side: inventory, PKI, artifacts, templates; nothing from the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network

from kbootstrap import kubeconfig
from kbootstrap.catalog import names, paths
from kbootstrap.errors import RoleError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.model.pki import KeyPair, Pki, Place
from kbootstrap.model.resource import (
    Binary,
    Blob,
    ContainerImage,
    Directory,
    File,
    Module,
    Package,
    Resource,
    Service,
    Swap,
    Sysctl,
    User,
)
from kbootstrap.model.same import Same
from kbootstrap.pki.profiles import CAS, PLACES
from kbootstrap.render import encryption
from kbootstrap.render.context import Inputs, alone, view
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.openings import openings
from kbootstrap.rolebook.predicates import PREDICATES
from kbootstrap.rolebook.role import Input, On, RoleDef, Rollout, ServiceDef


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that expansion draws from. *binaries*: arch → name → blob; *images*: arch → name → (reference, blob or None when hosts pull)."""

    spec: ClusterSpec
    pki: Pki
    renderer: Renderer
    pod_ranges: Mapping[str, IPv4Network]
    binaries: Mapping[str, Mapping[str, Blob]]
    images: Mapping[str, Mapping[str, tuple[str, Blob | None]]]
    variables: Mapping[str, str] | None = None  # of a role that is applied by itself: its templates see these, and no component

    def view(self, host: Host, inputs: Inputs | None = None) -> Mapping[str, object]:
        """What a template may see."""
        if self.variables is not None:
            return alone(self.spec, host, self.variables, inputs)
        found = _view(Same(self), Same(host))
        return found if inputs is None else {**found, "inputs": inputs}


@lru_cache(maxsize=2)
def _view(world: Same[World], host: Same[Host]) -> Mapping[str, object]:
    """What all templates of a host see: a host's are rendered one after the other."""
    references = {name: ref for name, (ref, _) in world.value.images[host.value.arch].items()}
    return view(world.value.spec, host.value, pod_ranges=world.value.pod_ranges, images=references)


def applies(role: RoleDef, spec: ClusterSpec, host: Host) -> bool:
    """Whether *host* gets *role*."""
    on = role.on is On.ALL or (role.on is On.MASTER and host.is_master) or (role.on is On.WORKER and host.is_worker)
    return on and (not role.when or PREDICATES[role.when](spec, host))


def _owner(owner: str) -> str:
    return owner if ":" in owner else f"{owner}:{owner}"


def _certs(world: World, role: RoleDef, host: Host) -> Iterator[File]:
    for name in role.certs:
        if name in CAS:
            place = PLACES[name]
            yield File(name=place.cert, content=world.pki.trust(name), mode=0o644, owner=_owner(place.owner))
        elif name == "sa":
            yield File(name=paths.SA_KEY, content=world.pki.sa_key, mode=0o600, secret=True)
            yield File(name=paths.SA_PUB, content=world.pki.sa_trust, mode=0o644)
        elif name == "encryption":
            content = encryption.encryption_config(world.pki.sealing.readers).encode()
            yield File(name=paths.ENCRYPTION_CONFIG, content=content, mode=0o600, secret=True)
        elif name in PLACES:
            yield from _pair(PLACES[name], world.pki.pair(f"{host.name}/{name}"))
        else:
            raise RoleError(
                f"roles/{role.name}/role.yml: no certificate is called «{name}»", hint=f"Known: {', '.join(('sa', 'encryption', *PLACES))}."
            )


def _pair(place: Place, pair: KeyPair) -> Iterator[File]:
    owner = _owner(place.owner)
    if place.combined:
        yield File(name=place.cert, content=pair.combined, mode=0o600, owner=owner, secret=True)
        return
    yield File(name=place.cert, content=pair.cert_pem, mode=0o644, owner=owner)
    yield File(name=place.key, content=pair.key_pem, mode=0o600, owner=owner, secret=True)


def _kubeconfigs(world: World, role: RoleDef, host: Host) -> Iterator[File]:
    for component in role.kubeconfigs:
        ca_pem = world.pki.trust(names.CLUSTER_CA)
        pair = world.pki.pair("admin" if component == "admin" else f"{host.name}/{component}-client")
        text = kubeconfig.for_host(world.spec, host, component, ca_pem=ca_pem, pair=pair)
        yield File(name=paths.kubeconfig(component), content=text.encode(), mode=0o600, secret=True)


def credentials(world: World, role: RoleDef, host: Host) -> dict[Input, list[File]]:
    """The files of *role* that hold certificates and keys, as a service's inputs name them."""
    return {Input.CERTS: list(_certs(world, role, host)), Input.KUBECONFIGS: list(_kubeconfigs(world, role, host))}


def _service(world: World, role: RoleDef, host: Host, definition: ServiceDef, groups: Mapping[Input, Sequence[File]]) -> tuple[File, Service]:
    files = [file for group in definition.inputs if group in groups for file in groups[group]]
    binaries = tuple(b.target for b in role.binaries) if Input.BINARIES in definition.inputs else ()
    inputs = Inputs(unit=definition.unit, files=tuple(f.name for f in files), binaries=binaries)
    text = world.renderer.render(definition.template, world.view(host, inputs))
    unit = File(name=paths.unit(definition.unit), content=text.encode(), mode=0o600)
    return unit, _running(role, definition, groups, (*files, unit), binaries)


def _running(
    role: RoleDef, definition: ServiceDef, groups: Mapping[Input, Sequence[File]], files: Sequence[File], binaries: tuple[str, ...] = ()
) -> Service:
    return Service(
        name=definition.unit,
        inputs={file.name: file.sha256 for file in files},
        binaries=binaries,
        serial=role.rollout is Rollout.SERIAL,
        reloads=frozenset(file.name for group in definition.reloads for file in groups.get(group, ())),
    )


def of_pki(world: World, role: RoleDef, host: Host) -> Iterator[File | Service]:
    """What of *role* the PKI decides alone: its certificates, keys and kubeconfigs, and the services that are started with them, as far as that."""
    groups = credentials(world, role, host)
    for group in groups.values():
        yield from group
    for definition in role.services:
        if files := [file for group in definition.inputs for file in groups.get(group, ())]:
            yield _running(role, definition, groups, files)


def ground(role: RoleDef) -> Iterator[Package | User | Directory]:
    """What *role* needs of the system before its own files."""
    yield from (Package(name=name) for name in role.packages)
    yield from (User(name=u.name, home=u.home) for u in role.users)
    yield from (Directory(name=d.path, mode=d.mode, owner=_owner(d.owner)) for d in role.directories)


def _kernel(role: RoleDef, host: Host) -> Iterator[Resource]:
    """Modules and settings, each with the file that brings it back at boot."""
    if role.modules and host.host.modules != "leave":
        yield File(name=paths.modules_load(role.name), content="".join(f"{name}\n" for name in role.modules).encode())
        yield from (Module(name=name) for name in role.modules)
    namespaced = host.host.sysctl == "namespaced"
    settings = [(k, v) for k, v in role.sysctl if host.host.sysctl != "leave" and (not namespaced or k.startswith("net."))]
    if settings:
        yield File(name=paths.sysctl_d(role.name), content="".join(f"{k} = {v}\n" for k, v in settings).encode())
        yield from (Sysctl(name=k, value=v) for k, v in settings)


def _blob(table: Mapping[str, Blob], role: RoleDef, name: str) -> Blob:
    try:
        return table[name]
    except KeyError:
        raise RoleError(f"roles/{role.name}/role.yml: no binary is called «{name}»", hint=f"Known: {', '.join(sorted(table))}.") from None


def expand(world: World, role: RoleDef, host: Host) -> Iterator[Resource]:
    """The resources of *role* on *host*, in the order of their creation: what a service needs before the service."""
    yield from ground(role)
    yield from _kernel(role, host)
    if role.swap and host.host.swap == "off":
        yield Swap(name="swap")
    if role.firewall:
        yield openings(world.spec, host)
    yield from (Binary(name=b.target, blob=_blob(world.binaries[host.arch], role, b.name)) for b in role.binaries)
    groups: dict[Input, list[File]] = {
        **credentials(world, role, host),
        Input.FILES: [
            File(
                name=f.path, content=world.renderer.render(f.template, world.view(host)).encode(), mode=f.mode, owner=_owner(f.owner), secret=f.secret
            )
            for f in role.files
        ],
    }
    for group in groups.values():
        yield from group
    for definition in role.services:
        yield from _service(world, role, host, definition, groups)
    for name in role.images:
        reference, blob = world.images[host.arch][name]
        if blob is not None:
            yield ContainerImage(name=reference, blob=blob)
