"""A person's own kubeconfig: bindings and a token through the API where they are asked for, a certificate from the cluster's CA, the ledger.

Without a binding and without a token no host is contacted. What could not be undone comes last: nothing is signed before the API agreed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kbootstrap import inventory, kubeconfig
from kbootstrap.catalog import names
from kbootstrap.engine import api, cluster
from kbootstrap.engine.contact import contact
from kbootstrap.engine.run import Request
from kbootstrap.errors import ApplyError, PkiError, UsageError
from kbootstrap.kubeconfig import people
from kbootstrap.kubeconfig.document import LISTS, named
from kbootstrap.kubeconfig.people import Person
from kbootstrap.model.cluster import ClusterSpec, Host
from kbootstrap.model.pki import Issued, KeyPair, Pki, Profile, Usage
from kbootstrap.model.plan import CLUSTER, Action, Change
from kbootstrap.model.resource import Manifest
from kbootstrap.pki import inspect, issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.remote.connection import Connection
from kbootstrap.resources.difference import sh
from kbootstrap.store import clock, files, operator_kubeconfig, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold

ACCOUNTS = "service-account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What somebody got: in which file, known to the API as *user*, until when."""

    path: Path
    user: str
    not_after: datetime


def give(request: Request, person: Person, *, server: str, to: Path, force: bool) -> Credential:
    """Write *person*'s kubeconfig to *to*. UsageError, PkiError or ApplyError before anything was signed or written."""
    folder = request.folder
    spec = inventory.load(folder.cluster_yml)
    with hold(folder.root, "kubeconfig.user"):
        pki = pki_dir.load(folder.pki)
        if pki.is_empty:
            raise PkiError(f"{folder.pki} holds no certificates yet", hint="They are made by the first `invoke cluster.up`.")
        people.require(person, now=clock.now(), ca_ends=inspect.ends(pki.ca(names.CLUSTER_CA).cert_pem))
        ways = people.way(spec, server, _sans(spec))
        _refuse_foreign(to, operator_kubeconfig.owners(folder, pki), force=force)
        token, entry = _through_the_api(request, person)
        pair = None
        if not person.token:
            pair, entry = _signed(spec, pki, person)
        assert entry is not None  # noqa: S101  # one of the two made it
        pki_dir.record(folder.pki, (entry,))
        _write(folder, spec, pki, person, to=to, ways=ways, pair=pair, token=token)
    return Credential(path=to, user=entry.subject, not_after=entry.not_after)


def _write(folder: Folder, spec: ClusterSpec, pki: Pki, person: Person, *, to: Path, ways: dict[str, str], pair: KeyPair | None, token: str) -> None:
    text = kubeconfig.build(
        spec.name,
        ways,
        ca_pem=pki.trust(names.CLUSTER_CA),
        user=person.name,
        pair=pair,
        token=token,
        namespace=person.namespace,
        owner=operator_kubeconfig.owner(folder, pki),
    )
    files.make_folder(to.parent)
    if to.exists():
        files.write_secret(to, text.encode(), previous=operator_kubeconfig.PREVIOUS)
    else:
        files.create_secret(to, text.encode())
    files.sync([to.parent])


def _sans(spec: ClusterSpec) -> set[str]:
    """The names and addresses that API servers' certificates carry."""
    return {san for p in profiles(spec) if p.name == "apiserver" for san in (*p.dns_names, *map(str, p.ip_addresses))}


def _refuse_foreign(path: Path, owners: frozenset[str], *, force: bool) -> None:
    """UsageError for what is there and is not a kubeconfig of this cluster's alone."""
    if force or not path.exists():
        return
    try:
        document = kubeconfig.parse(path.read_text())
        bodies = [entry.get(noun) for kind, noun in LISTS.items() for entry in named(document, kind).values()]
        ours = bool(bodies) and all(kubeconfig.owner_of(body) in owners for body in bodies)
    except (UsageError, UnicodeDecodeError):
        ours = False
    if not ours:
        raise UsageError(f"{path} is there, and is no kubeconfig of this cluster alone", hint="Say another file with --to, or --force to replace it.")


def _signed(spec: ClusterSpec, pki: Pki, person: Person) -> tuple[KeyPair, Issued]:
    profile = Profile(
        name=f"user:{person.name}",
        host=None,
        issuer=names.CLUSTER_CA,
        common_name=person.name,
        organizations=person.groups,
        usages=(Usage.CLIENT,),
    )
    why = f"kubeconfig.user for {person.name}"
    return issue.client(pki, profile, now=clock.now(), life=person.ttl, kind=spec.certificates.key_type, entropy=SystemEntropy(), reason=why)


def _through_the_api(request: Request, person: Person) -> tuple[str, Issued | None]:
    """The objects that *person* needs, applied; the token, if it is to be one."""
    objects = people.objects(person)
    if not objects:
        return "", None
    with _leader(request) as (host, connection):
        _require_roles(connection, host, person)
        changes = [Change(host=CLUSTER, key=o.key, action=Action.CREATE, reason="asked for", commands="", resource=o) for o in objects]
        cluster.apply(connection, host, changes)
        return _token(connection, host, person) if person.token else ("", None)


def _require_roles(connection: Connection, host: Host, person: Person) -> None:
    """UsageError for a role that is not there: a binding to it would be made, and give nothing."""
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    wanted = [Manifest(name=f"ClusterRole/{role}", document={**kind, "metadata": {"name": role}}) for role in person.roles]
    live = cluster.get(connection, host, wanted) if wanted else {}
    there = {item["metadata"]["name"] for item in live.get("items", [live] if live.get("metadata") else [])}
    if missing := [role for role in person.roles if role not in there]:
        raise UsageError(f"--bind: there is no cluster role {', '.join(missing)}", hint="For example: view, edit, admin, cluster-admin.")


@contextmanager
def _leader(request: Request) -> Iterator[tuple[Host, Connection]]:
    prepared = contact(request.folder)
    with request.connect(prepared) as pool:
        host = api.healthy_master(prepared, pool)
        yield host, pool.connection(host)


def _token(connection: Connection, host: Host, person: Person) -> tuple[str, Issued]:
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": int(person.ttl.total_seconds())}}
    path = f"/api/v1/namespaces/{person.home}/serviceaccounts/{person.name}/token"
    now = clock.now()
    code, output, stderr = cluster.one(connection, f"{kubectl(host)} create --raw {sh(path)} -f -\n", json.dumps(asked).encode())
    if code != 0:
        raise ApplyError(f"no token for {person.name}: {stderr.strip()[-300:]}", host=host.name)
    answer = json.loads(output)
    ends = datetime.fromisoformat(answer["status"]["expirationTimestamp"])
    subject = f"system:serviceaccount:{person.home}:{person.name}"
    return str(answer["status"]["token"]), Issued(
        id=f"token:{person.home}/{person.name}",
        serial=_token_id(answer["status"]["token"]),
        issuer=ACCOUNTS,
        subject=subject,
        groups=(),
        when=now.replace(microsecond=0),
        not_after=ends,
        reason=f"kubeconfig.user for {person.name}, by TokenRequest",
    )


def _token_id(token: str) -> str:
    """The claim ``jti``, by which the audit log names the token; empty where there is none."""
    payload = token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("jti", ""))
