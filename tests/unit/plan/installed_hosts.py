"""Hosts as they were installed with a PKI, as a look at their certificates sees them, and as a test alters that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from kbootstrap import kubeconfig
from kbootstrap.engine.prepare import roles
from kbootstrap.errors import KbError
from kbootstrap.model.certificate import State
from kbootstrap.model.cluster import Certificates, ClusterSpec
from kbootstrap.model.pki import SERVICE_ACCOUNT, Pki
from kbootstrap.pki import inspect, issue
from kbootstrap.pki.judge import Wanted, complete
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import certificates
from kbootstrap.plan.certificate_sh import Seen
from kbootstrap.plan.certificates import Look
from kbootstrap.plan.serving import Socket, sockets
from kbootstrap.render.env import Renderer
from kbootstrap.report.certs_check import Check, Row
from kbootstrap.resources.stat import Stat
from kbootstrap.rolebook.certificates import Held, Part, held, units
from kbootstrap.rolebook.expand import World
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_cluster, a_pki

SPEC = a_cluster(3, 1)
DAY = timedelta(days=1)
Bad = set[tuple[str, str, str, State]]


@cache
def defined() -> dict[str, RoleDef]:
    return roles()


@cache
def pki() -> Pki:
    return a_pki(3, 1)


@cache
def other(seed: str = "another cluster", days: int = 365) -> Pki:
    """A cluster of the same inventory with other CAs."""
    certificates_ = Certificates(leaf_days=days)
    return issue.complete(Pki(), profiles(SPEC), now=THE_DAY, certificates=certificates_, entropy=SameEntropy(seed))[0]


def again(mine: Pki, *ids: str, spec: ClusterSpec = SPEC, now: datetime = THE_DAY, days: int = 365, seed: str = "again") -> Pki:
    """*mine* with *ids* issued anew as *spec* wants them."""
    kept = replace(mine, pairs={i: pair for i, pair in mine.pairs.items() if i not in ids})
    wanted = [p for p in profiles(spec) if p.id in ids]
    return issue.complete(kept, wanted, now=now, certificates=Certificates(leaf_days=days), entropy=SameEntropy(seed))[0]


def public(key_pem: bytes) -> bytes:
    return load_pem_private_key(key_pem, None).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def by_ssh(key_pem: bytes) -> bytes:
    """The same as ``ssh-keygen -y`` prints it."""
    return load_pem_private_key(key_pem, None).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def wants(spec: ClusterSpec, mine: Pki, host: str) -> tuple[Held, ...]:
    world = World(spec=spec, pki=complete(mine, profiles(spec)), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    return held(world, defined(), spec.host(host))


def installed(has: Pki, host: str, spec: ClusterSpec = SPEC) -> Look:
    """*host* with what *has* gives it, served and in use."""
    files = wants(spec, has, host)
    seen = Seen(
        files={e.file.name: Stat(type="regular file", mode=e.file.mode, owner=e.file.owner, sha256=e.file.sha256) for e in files},
        certificates=dict(_certificates(files)),
        authorities={e.file.name: kubeconfig.read(e.file.content.decode()).ca_pem for e in files if e.part is Part.CONFIG},
        keys=dict(_keys(files)),
        started={unit: {e.file.name: e.file.sha256 for e in files} for mine in units(defined(), spec, spec.host(host)).values() for unit in mine},
    )
    served: dict[Socket, bytes | KbError] = {s: has.pair(f"{s.owners[-1]}/{s.certificate}").cert_pem for s in sockets(spec, spec.host(host))}
    return Look(host=spec.host(host), held=files, seen=seen, served=served)


def _certificates(files: Iterable[Held]) -> Iterable[tuple[str, bytes]]:
    for each in files:
        if each.part is Part.CONFIG:
            yield each.file.name, kubeconfig.read(each.file.content.decode()).pair.cert_pem
        elif each.part is not Part.KEY and each.name != SERVICE_ACCOUNT:
            yield each.file.name, inspect.split(each.file.content).cert_pem


def _keys(files: Iterable[Held]) -> Iterable[tuple[str, bytes]]:
    for each in files:
        if each.part is Part.CONFIG:
            yield each.file.name, public(kubeconfig.read(each.file.content.decode()).pair.key_pem)
        elif each.part is Part.BOTH:
            yield each.file.name, public(inspect.split(each.file.content).key_pem)
        elif each.part is Part.KEY:
            yield each.file.name, public(each.file.content)
        elif each.name == SERVICE_ACCOUNT:
            yield each.file.name, each.file.content


def checked(mine: Pki, looks: Iterable[Look], *, spec: ClusterSpec = SPEC, days: float = 1, within: int | None = None) -> Check:
    """What ``certs.check`` says, so many days after everything was issued."""
    table = profiles(spec)
    wanted = Wanted(spec=spec, pki=mine, profiles={p.id: p for p in table}, now=THE_DAY + days * DAY, days=within)
    looks = tuple(replace(look, held=wants(spec, mine, look.host.name)) for look in looks)
    disks = certificates.disks(looks)
    rows: list[Row] = list(certificates.operators(wanted, [look.host.name for look in looks]))
    for look in looks:
        rows += certificates.host(wanted, look, disks)
    return Check(cluster=spec.name, rows=tuple(rows))


def bad(check: Check) -> Bad:
    return {(row.host, row.certificate, row.where, row.state) for row in check.rows if row.state is not State.OK}


@cache
def everywhere() -> tuple[Look, ...]:
    return tuple(installed(pki(), host.name) for host in SPEC.hosts)


def alter(look: Look, **fields: object) -> Look:
    """*look* with entries of the maps of what was seen replaced; None takes one away."""
    seen = look.seen
    for name, entries in fields.items():
        assert isinstance(entries, dict)
        merged = {**getattr(seen, name), **entries}
        seen = replace(seen, **{name: {key: value for key, value in merged.items() if value is not None}})  # type: ignore[arg-type]
    return replace(look, seen=seen)


def changed(look: Look, path: str, **fields: object) -> Look:
    return alter(look, files={path: replace(look.seen.files[path], **fields)})  # type: ignore[arg-type]
