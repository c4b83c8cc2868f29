"""Every kubeconfig of a cluster: written into a folder without asking a host, or brought to the hosts and nothing else with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.engine import certs
from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import PkiError
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.resource import File, Resource, Service
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import KUBECONFIGS, profiles
from kbootstrap.store import clock, files, operator_kubeconfig, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold

_NAMES: Final = frozenset(paths.kubeconfig(component) for component in KUBECONFIGS)


def write(folder: Folder, to: Path, *, limit: tuple[str, ...] = ()) -> Mapping[Path, bool]:
    """Every file → whether it had to be written: ``admin.conf`` of the operator, ``<host>/<component>.conf`` byte for byte as *limit*'s hosts get it.

    What is missing or about to expire is issued first, and kept. UsageError for an unknown host, PkiError where there is no PKI.
    """
    with hold(folder.root, "kubeconfig.write"):
        prepared = _prepared(folder, limit)
        pki_dir.save(folder.pki, prepared.pki, prepared.issued)
        operator_kubeconfig.write(folder.admin_conf, prepared.spec, prepared.pki)
        wanted = {to / folder.admin_conf.name: folder.admin_conf.read_bytes()}
        for host in chosen(prepared.spec, limit):
            mine = [r for r in prepared.desired.resources(host.name) if isinstance(r, File)]
            wanted |= {to / host.name / PurePosixPath(file.name).name: file.content for file in mine}
        return {path: _put(path, content) for path, content in wanted.items()}


def _put(path: Path, content: bytes) -> bool:
    if path.exists() and path.read_bytes() == content and not path.stat().st_mode & 0o077:
        return False
    files.make_folder(path.parent)
    files.write_secret(path, content, previous=operator_kubeconfig.PREVIOUS)
    files.sync([path.parent])
    return True


def install(request: Request, *, dry: bool = False) -> certs.Outcome:
    """Bring the kubeconfigs to the hosts (of the request's limit), with the restarts that they need and nothing else; as ``certs.renew`` does."""
    with hold(request.folder.root, "kubeconfig.install"):
        return certs.bring(request, _prepared(request.folder, request.limit), command="kubeconfig.install", dry=dry)


def _prepared(folder: Folder, limit: tuple[str, ...]) -> Prepared:
    """All that the hosts shall have of kubeconfigs, and what was signed for it, in memory so far."""
    known, before = contact(folder), pki_dir.load(folder.pki)
    hosts = {host.name for host in chosen(known.spec, limit)}
    if before.is_empty:
        raise PkiError(f"{folder.pki} holds no certificates yet", hint="They are made by the first `invoke cluster.up`.")
    table = profiles(known.spec)
    wanted = [p for p in table if p.id not in before.pairs or (p.kubeconfig and (p.host is None or p.host in hosts))]
    pki, issued = issue.complete(before, wanted, now=clock.now(), certificates=known.spec.certificates, entropy=SystemEntropy())
    prepared = certs.wants(known, pki, issued)
    only = {host: {stage: _kubeconfigs(each) for stage, each in stages.items()} for host, stages in prepared.desired.hosts.items()}
    return replace(prepared, desired=Desired(hosts=only, cluster=prepared.desired.cluster))


def _kubeconfigs(wanted: Wanted) -> Wanted:
    kept = tuple(part for resource in wanted.resources for part in _part(resource, _NAMES))
    return replace(wanted, resources=kept, gates=wanted.gates if kept else ())


def _part(resource: Resource, files_: Collection[str]) -> tuple[Resource, ...]:
    """What of *resource* is about *files_*: the file itself, a service as far as it is started with one."""
    if isinstance(resource, File):
        return (resource,) if resource.name in files_ else ()
    inputs = {name: digest for name, digest in resource.inputs.items() if name in files_} if isinstance(resource, Service) else {}
    return (replace(resource, inputs=inputs),) if isinstance(resource, Service) and inputs else ()
