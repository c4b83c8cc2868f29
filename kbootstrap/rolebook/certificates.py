"""The table of certificates × the roles: which files of a host hold which certificate, and which units restart for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kbootstrap.catalog import names, paths
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.model.pki import SERVICE_ACCOUNT
from kbootstrap.model.resource import File
from kbootstrap.pki.profiles import KUBECONFIGS, PLACES
from kbootstrap.rolebook.expand import World, applies, credentials
from kbootstrap.rolebook.role import Input, RoleDef

_ROLE_NAMES: Final = {"sa": SERVICE_ACCOUNT}  # what role.yml calls otherwise than the table of certificates


class Part(StrEnum):
    """What of a certificate a file holds."""

    CERT = "cert"  # of a CA: what is trusted; of SERVICE_ACCOUNT: public keys
    KEY = "key"
    BOTH = "both"
    CONFIG = "config"  # a kubeconfig: certificate, key and the cluster's CA


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file of a host, as it should be, and what it holds; *name* is of the certificate table, without the host."""

    file: File
    name: str
    part: Part


def held(world: World, defined: Mapping[str, RoleDef], host: Host) -> tuple[Held, ...]:
    """Every file of *host* that holds a certificate or its key, each once, in the order of the stages."""
    known = _by_path()
    found: dict[str, Held] = {}
    for role in defined.values():
        if applies(role, world.spec, host):
            for file in (file for group in credentials(world, role, host).values() for file in group):
                if file.name in known:
                    name, part = known[file.name]
                    found.setdefault(file.name, Held(file=file, name=name, part=part))
    return tuple(found.values())


def _by_path() -> dict[str, tuple[str, Part]]:
    found = {}
    for name, place in PLACES.items():
        found[place.cert] = (name, Part.BOTH if place.combined else Part.CERT)
        if place.key and not place.combined:
            found[place.key] = (name, Part.KEY)
    for component, name in KUBECONFIGS.items():
        found[paths.kubeconfig(component)] = (name, Part.CONFIG)
    return found


def units(defined: Mapping[str, RoleDef], spec: ClusterSpec, host: Host) -> dict[str, tuple[str, ...]]:
    """Name of a certificate (CAs and SERVICE_ACCOUNT too) → the units of *host* that restart (or reload) for it, in the order of the stages."""
    found: dict[str, dict[str, None]] = {}
    for role in defined.values():
        if applies(role, spec, host):
            for service in role.services:
                for name in _inputs(role, frozenset(service.inputs)):
                    found.setdefault(name, {})[service.unit] = None
    return {name: tuple(mine) for name, mine in found.items()}


def reloaded(defined: Mapping[str, RoleDef]) -> frozenset[str]:
    """The units that read their certificates again when they are told to, without a restart."""
    return frozenset(service.unit for role in defined.values() for service in role.services if Input.CERTS in service.reloads)


def _inputs(role: RoleDef, wanted: frozenset[Input]) -> Iterator[str]:
    if Input.CERTS in wanted:
        yield from (_ROLE_NAMES.get(name, name) for name in role.certs)
    if Input.KUBECONFIGS in wanted and role.kubeconfigs:
        yield from (KUBECONFIGS[component] for component in role.kubeconfigs)
        yield names.CLUSTER_CA
