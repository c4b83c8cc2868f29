"""What a person's own kubeconfig may ask for: a name, groups, a time, a way to the API. Everything is refused here, before anything is signed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from kbootstrap.catalog import names
from kbootstrap.errors import Problem, UsageError
from kbootstrap.kubeconfig.build import own_url, servers
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.resource import Manifest

SHORTEST: Final = timedelta(minutes=10)  # what the TokenRequest API gives at least; a certificate shorter than clocks differ is of no use
NAME_MAX: Final = 64  # RFC 5280 ub-common-name
_RESERVED: Final = ("system:", "kbootstrap:")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+:-]*[A-Za-z0-9])?")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_ROLE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?")
_TTL: Final = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who gets a kubeconfig, for how long and with which roles. *token*: as a service account of *namespace*, not by a certificate."""

    name: str
    groups: tuple[str, ...] = ()
    ttl: timedelta
    namespace: str = ""
    roles: tuple[str, ...] = ()
    token: bool = False

    @property
    def home(self) -> str:
        """The namespace of the service account."""
        return self.namespace or "default"


def ttl(text: str) -> timedelta:
    """``90m``, ``24h``, ``7d``. UsageError for anything else, and for less than ten minutes."""
    found = _TTL.fullmatch(text.strip())
    if not found:
        raise UsageError(f"--ttl: {text!r} is no time", hint="Say a number and m, h or d: 90m, 24h, 7d.")
    life = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if life < SHORTEST:
        raise UsageError(f"--ttl: {text} is too short", hint=f"Ten minutes is the least: --ttl {SHORTEST.seconds // 60}m.")
    return life


def require(person: Person, *, now: datetime, ca_ends: datetime) -> None:
    """UsageError, with everything at once, for a person who cannot or must not get a kubeconfig."""
    faults = [*_faults(person)]
    if not person.token and now + person.ttl > ca_ends:
        days = (ca_ends - now).days
        faults.append(
            Problem(where="--ttl", what=f"the CA that signs ends on {ca_ends:%Y-%m-%d}, before the certificate.", hint=f"Say {days}d or less.")
        )
    if faults:
        raise UsageError(f"No kubeconfig for {person.name!r}: {faults[0]}", problems=faults[1:])


def _faults(person: Person) -> Iterator[Problem]:
    for option, name in (("--name", person.name), *(("--group", group) for group in person.groups)):
        if not _NAME.fullmatch(name) or len(name) > NAME_MAX:
            yield Problem(where=option, what=f"{name!r} is no name: letters, digits and . _ @ + : - between, {NAME_MAX} at most.")
        if name.startswith(_RESERVED):
            yield Problem(where=option, what=f"{name} belongs to the cluster itself.", hint="Rights are given by --bind, and can be taken away.")
    if person.name == names.ADMIN_USER:
        yield Problem(where="--name", what=f"{person.name} is the operator.", hint="`invoke kubeconfig.admin` writes that file.")
    if person.namespace and not _LABEL.fullmatch(person.namespace):
        yield Problem(where="--namespace", what=f"{person.namespace!r} is no namespace's name.")
    for role in person.roles:
        if not _ROLE.fullmatch(role):
            yield Problem(where="--bind", what=f"{role!r} is no cluster role's name.")
    if person.token and person.groups:
        yield Problem(where="--group", what="a service account has the groups that Kubernetes gives it.", hint="Leave --group away, or --token.")
    if person.token and (not _SUBDOMAIN.fullmatch(person.name) or len(person.name) > NAME_MAX - 1):
        yield Problem(where="--name", what=f"{person.name!r} is no service account's name: small letters, digits, - and . between.")


def way(spec: ClusterSpec, server: str, sans: Collection[str]) -> dict[str, str]:
    """Cluster entry → URL: all ways in when *server* is empty, one master's by its name, or a URL of the user's own.

    UsageError for a URL to a name that the API servers' certificates (*sans*: names and addresses) do not carry: no client would accept it.
    """
    if not server:
        return servers(spec)
    for master in spec.masters:
        if master.name == server:
            return {spec.name: own_url(master)}
    name = _hostname(server)
    if not name:
        masters = ", ".join(host.name for host in spec.masters)
        raise UsageError(f"--server: {server!r} is neither a master nor an https:// URL", hint=f"The masters are {masters}.")
    if name not in sans:
        raise UsageError(
            f"--server: {name} is not in the API servers' certificates, so no client would accept it",
            hint=f"Add it below certificates.extra_sans in cluster.yml, then `invoke cluster.up`. They have {', '.join(sorted(sans))}.",
        )
    return {spec.name: server}


def _hostname(url: str) -> str:
    """The name or address in a plain https:// URL; empty when it is none."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and (parts.port or 1) and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        return ""
    return (parts.hostname or "") if plain else ""


def objects(person: Person) -> tuple[Manifest, ...]:
    """What the API must hold for *person*: the service account of a token, a binding for each role (in the namespace, if there is one)."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": person.name, "namespace": person.home}}
    found = [Manifest(name=f"ServiceAccount/{person.home}/{person.name}", document=account)] if person.token else []
    return (*found, *(_binding(person, role) for role in person.roles))


def binding(person: Person, role: str) -> str:
    """The name of the binding that gives *role*."""
    return f"kbootstrap:{'account' if person.token else 'user'}:{person.name}:{role}"


def _binding(person: Person, role: str) -> Manifest:
    kind, place = ("RoleBinding", {"namespace": person.namespace}) if person.namespace else ("ClusterRoleBinding", {})
    group = "rbac.authorization.k8s.io"
    who: dict[str, Any] = {"kind": "User", "apiGroup": group, "name": person.name}
    if person.token:
        who = {"kind": "ServiceAccount", "name": person.name, "namespace": person.home}
    name = binding(person, role)
    return Manifest(
        name="/".join([kind, *place.values(), name]),
        document={
            "apiVersion": f"{group}/v1",
            "kind": kind,
            "metadata": {"name": name, **place},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [who],
        },
    )
