"""Kubeconfig documents: build one, read one, merge one into the user's own. Text in, text out; nothing here opens a file.

Names: a cluster entry is called as the cluster (``lab``; ``lab-m1`` where each master has its own), its context ``<user>@<cluster entry>``, its
user entry ``<cluster>-<user>``, so that the files of two clusters merge without a clash. Entries made for merging carry an extension that
says whose they are (``owner``, any text that outlives a rewrite): that alone, never a name, allows ``merge`` to replace one.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Hashable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple

import yaml

try:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same, ten times slower
    from yaml import SafeDumper, SafeLoader  # type: ignore[assignment]

from kbootstrap.catalog import names, ports
from kbootstrap.errors import Problem, UsageError
from kbootstrap.model.cluster import ClusterSpec, EndpointKind, Host
from kbootstrap.model.pki import KeyPair, Pki

EXTENSION: Final = "kbootstrap"
LOOPBACK: Final = "127.0.0.1"
_LISTS: Final = {"clusters": "cluster", "users": "user", "contexts": "context"}
_OWN_API: Final = frozenset({"controller-manager", "scheduler"})  # they must never be newer than the API server they talk to: their own host's
_Document = dict[str, Any]


class _Loader(SafeLoader):
    """Refuses a key given twice: the first one would silently be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


class Access(NamedTuple):
    """What one context of a kubeconfig gives."""

    context: str
    server: str
    ca_pem: bytes
    pair: KeyPair
    namespace: str


def build(
    cluster: str,
    servers: Mapping[str, str],
    *,
    ca_pem: bytes,
    user: str,
    pair: KeyPair,
    namespace: str = "",
    current: str = "",
    owner: str = "",
) -> str:
    """A kubeconfig with one cluster entry and one context for each of *servers* (entry name → URL), all with the same user.

    *current* names the server of the current context; the first, when empty or unknown.
    """

    def mark() -> _Document:  # each entry its own copy: a shared one would be written as a YAML alias
        return {"extensions": [{"name": EXTENSION, "extension": {"cluster": cluster, "owner": owner}}]} if owner else {}

    login = f"{cluster}-{user}"
    chosen = current if current in servers else next(iter(servers))
    credentials = {"client-certificate-data": _b64(pair.cert_pem), "client-key-data": _b64(pair.key_pem)}
    place = {"namespace": namespace} if namespace else {}
    return _dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": url, "certificate-authority-data": _b64(ca_pem), **mark()}} for name, url in servers.items()
            ],
            "users": [{"name": login, "user": {**credentials, **mark()}}],
            "contexts": [{"name": f"{user}@{name}", "context": {"cluster": name, "user": login, **place, **mark()}} for name in servers],
            "current-context": f"{user}@{chosen}",
        }
    )


def for_host(spec: ClusterSpec, host: Host, component: str, *, ca_pem: bytes, pair: KeyPair) -> str:
    """The kubeconfig of *component* (controller-manager, scheduler, kubelet, kube-proxy, admin) on *host*.

    Controller manager and scheduler use their own host's API server, the others the endpoint.
    """
    url = _url(str(host.address)) if component in _OWN_API else endpoint_url(spec)
    user = names.ADMIN_USER if component == "admin" else component
    return build(spec.name, {spec.name: url}, ca_pem=ca_pem, user=user, pair=pair)


def admin(spec: ClusterSpec, pki: Pki, *, owner: str, current: str = "") -> str:
    """The operator's kubeconfig: the external endpoint, or one context per master, of which *current* (a host's name) is preselected."""
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        servers = {spec.name: endpoint_url(spec)}
    else:
        servers = {f"{spec.name}-{master.name}": _url(str(master.address)) for master in spec.masters}
    return build(
        spec.name,
        servers,
        ca_pem=pki.trust(names.CLUSTER_CA),
        user=names.ADMIN_USER,
        pair=pki.pair("admin"),
        current=f"{spec.name}-{current}",
        owner=owner,
    )


def endpoint_url(spec: ClusterSpec) -> str:
    """Where a host finds the API: the node-local endpoint, or the user's own address."""
    if spec.endpoint.kind is EndpointKind.EXTERNAL:
        return _url(spec.endpoint.address, spec.endpoint.port or ports.API.number)
    return _url(LOOPBACK)


def parse(text: str) -> _Document:
    """*text* as a kubeconfig document; an empty text is an empty document.

    Raises UsageError for what kubectl would refuse or lose: no YAML, no mapping, a key or a name given twice, an entry without a name.
    """
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  # _Loader is a SafeLoader
    except yaml.YAMLError as error:
        raise UsageError(f"The kubeconfig is not YAML: {_line(error)}.") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError("The kubeconfig is not a mapping.")
    for kind in _LISTS:
        _named(document, kind)
    return document


def read(text: str, context: str = "") -> Access:
    """What *context* (the current one, when empty) gives. Raises UsageError when it leads nowhere, or to files instead of inline data."""
    document = parse(text)
    name = context or document.get("current-context") or ""
    try:
        chosen = _named(document, "contexts")[name]["context"]
        cluster = _named(document, "clusters")[chosen["cluster"]]["cluster"]
        user = _named(document, "users")[chosen["user"]]["user"]
        return Access(
            context=name,
            server=cluster["server"],
            ca_pem=b64decode(cluster["certificate-authority-data"]),
            pair=KeyPair(cert_pem=b64decode(user["client-certificate-data"]), key_pem=b64decode(user["client-key-data"])),
            namespace=chosen.get("namespace", ""),
        )
    except (KeyError, TypeError, Base64Error) as error:
        raise UsageError(f"The kubeconfig's context {name!r} cannot be used: {error} is missing or wrong.") from error


def merge(existing: str, new: str, *, force: bool = False, use: bool = False) -> str:
    """*existing* with every entry of *new*: ours are replaced where they stand, others are added at the end, nothing else changes.

    The current context stays, unless there is none or *use* is set. Comments are not kept. Raises UsageError when an entry of the same name
    is not ours (see the module), all of them at once; *force* replaces them.
    """
    document, addition = parse(existing), parse(new)
    if not force and (foreign := _foreign(document, addition)):
        raise UsageError(
            f"The kubeconfig already has {foreign[0].where}, which is not ours.",
            hint="Rename it with kubectl config, or replace it with --force.",
            problems=foreign,
        )
    merged: _Document = {"apiVersion": "v1", "kind": "Config", **document}
    for kind in _LISTS:
        fresh = _named(addition, kind)
        kept = [fresh.pop(entry["name"], entry) for entry in document.get(kind) or ()]
        merged[kind] = kept + list(fresh.values())
    if use or not merged.get("current-context"):
        merged["current-context"] = addition.get("current-context", "")
    return _dump(merged)


def _foreign(document: _Document, addition: _Document) -> list[Problem]:
    found = []
    for kind, noun in _LISTS.items():
        there = _named(document, kind)
        for name, entry in _named(addition, kind).items():
            if name in there and there[name] != entry and not _same_owner(there[name].get(noun), entry.get(noun)):
                found.append(Problem(where=f"the {noun} {name!r}", what="belongs to somebody else."))
    return found


def _same_owner(one: object, other: object) -> bool:
    return _mark(one) is not None and _mark(one) == _mark(other)


def _mark(body: object) -> object:
    extensions = body.get("extensions") if isinstance(body, dict) else None
    for extension in extensions if isinstance(extensions, list) else ():
        if isinstance(extension, dict) and extension.get("name") == EXTENSION:
            return extension.get("extension")
    return None


def _named(document: _Document, kind: str) -> dict[str, Any]:
    """Name → entry of one of the document's lists."""
    entries = document.get(kind) or []
    named = {e["name"]: e for e in entries if isinstance(e, dict) and isinstance(e.get("name"), str)} if isinstance(entries, list) else {}
    if not isinstance(entries, list) or len(named) != len(entries):
        raise UsageError(f"The kubeconfig's {kind} are not a list of entries with a name each, every name once.")
    return named


def _url(address: str, port: int = ports.API.number) -> str:
    try:
        bare = f"[{address}]" if isinstance(ip_address(address), IPv6Address) else address
    except ValueError:
        bare = address
    return f"https://{bare}:{port}"


def _b64(data: bytes) -> str:
    return b64encode(data).decode()


def _dump(document: _Document) -> str:
    return yaml.dump(document, Dumper=SafeDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)


def _line(error: yaml.YAMLError) -> str:
    """Where and what, without the text around it, which may be a key."""
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "it holds a character that YAML does not allow"
    return f"{what}, line {mark.line + 1}" if mark else str(what)
