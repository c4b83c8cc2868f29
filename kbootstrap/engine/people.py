"""A person's own kubeconfig: bindings and a token through the API where they are asked for, a certificate from the cluster's CA, the ledger.

Without a binding and without a token no host is contacted. What could not be undone comes last: nothing is signed before the API agreed.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kbootstrap import inventory, kubeconfig
from kbootstrap.catalog import names
from kbootstrap.engine import api, cluster
from kbootstrap.engine.contact import contact
from kbootstrap.engine.request import Request
from kbootstrap.errors import ApplyError, PkiError, UsageError
from kbootstrap.kubeconfig import people
from kbootstrap.kubeconfig.document import LISTS, named
from kbootstrap.kubeconfig.people import Person
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
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
    """What somebody got: in which file, known to the API as *user*, until when; *replaced*: in the place of a credential made before."""

    path: Path
    user: str
    not_after: datetime
    replaced: bool = False


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
        ours = _is_ours(to, operator_kubeconfig.owners(folder, pki))
        if to.exists() and not (ours or force):
            hint = "Say another file with --to, or --force to replace it."
            raise UsageError(f"{to} is there, and is no kubeconfig of this cluster alone", hint=hint)
        token, entry = _through_the_api(request, person)
        pair = None
        if not person.token:
            pair, entry = _signed(spec, pki, person)
        assert entry is not None  # noqa: S101  # one of the two made it
        pki_dir.record(folder.pki, (entry,))
        _write(to, _text(folder, spec, pki, person, ways=ways, pair=pair, token=token), ours=ours)
    return Credential(path=to, user=entry.subject, not_after=entry.not_after, replaced=ours)


def _text(folder: Folder, spec: ClusterSpec, pki: Pki, person: Person, *, ways: dict[str, str], pair: KeyPair | None, token: str) -> str:
    return kubeconfig.build(
        spec.name,
        ways,
        ca_pem=pki.trust(names.CLUSTER_CA),
        user=person.name,
        pair=pair,
        token=token,
        namespace=person.namespace,
        owner=operator_kubeconfig.owner(folder, pki),
    )


def _write(to: Path, text: str, *, ours: bool) -> None:
    """A file of somebody else's stays beside; of ours no former credential lies around."""
    files.make_folder(to.parent)
    if to.exists():
        files.write_secret(to, text.encode(), previous="" if ours else operator_kubeconfig.PREVIOUS)
    else:
        files.create_secret(to, text.encode())
    files.sync([to.parent])


def _sans(spec: ClusterSpec) -> set[str]:
    """The names and addresses that API servers' certificates carry."""
    return {san for p in profiles(spec) if p.name == "apiserver" for san in (*p.dns_names, *map(str, p.ip_addresses))}


def _is_ours(path: Path, owners: frozenset[str]) -> bool:
    """Whether a kubeconfig of this cluster's alone is there."""
    if not path.exists():
        return False
    try:
        document = kubeconfig.parse(path.read_text())
        bodies = [entry.get(noun) for kind, noun in LISTS.items() for entry in named(document, kind).values()]
        return bool(bodies) and all(kubeconfig.owner_of(body) in owners for body in bodies)
    except (UsageError, UnicodeDecodeError):
        return False


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
        _require_there(connection, host, person, objects)
        changes = [Change(host=CLUSTER, key=o.key, action=Action.CREATE, reason="asked for", commands="", resource=o) for o in objects]
        cluster.apply(connection, host, changes)
        return _token(connection, host, person) if person.token else ("", None)


def _require_there(connection: Connection, host: Host, person: Person, objects: Sequence[Manifest]) -> None:
    """UsageError for a namespace that is not there, and for a role: a binding to that would be made, and give nothing."""
    spaces = dict.fromkeys(o.document["metadata"]["namespace"] for o in objects if "namespace" in o.document["metadata"])
    rbac = "rbac.authorization.k8s.io/v1"
    names_ = [("ClusterRole", rbac, role) for role in person.roles] + [("Namespace", "v1", space) for space in spaces]
    wanted = [
        Manifest(name=f"{kind}/{name}", document={"apiVersion": group, "kind": kind, "metadata": {"name": name}}) for kind, group, name in names_
    ]
    live = cluster.get(connection, host, wanted) if wanted else {}
    there = {(item["kind"], item["metadata"]["name"]) for item in live.get("items", [live] if live.get("metadata") else [])}
    if missing := [role for role in person.roles if ("ClusterRole", role) not in there]:
        raise UsageError(f"--bind: there is no cluster role {', '.join(missing)}", hint="For example: view, edit, admin, cluster-admin.")
    if absent := [space for space in spaces if ("Namespace", space) not in there]:
        raise UsageError(f"--namespace: there is no {absent[0]}; nothing was made", hint=f"kubectl create namespace {absent[0]}")


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
