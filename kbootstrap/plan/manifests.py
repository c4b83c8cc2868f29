"""What the Kubernetes API shall hold, against what it holds. Pure; ``engine/cluster.py`` asks and applies through kubectl on a healthy master.

Desired ⊆ live: every leaf that we declare must be so in the live object; what the API server adds is its own business. Lists of named
things are compared by name, other lists whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import yaml

from kbootstrap.catalog import names
from kbootstrap.errors import TemplateError
from kbootstrap.model.plan import CLUSTER, Action, Change
from kbootstrap.model.resource import Manifest, Node

TAINTS_NOTE = "kbootstrap.io/taints"  # which taints of a node are ours, so that removing one works


_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def identity(document: Mapping[str, Any]) -> str:
    """``Kind/[namespace/]name``."""
    meta = document["metadata"]
    return "/".join(part for part in (document["kind"], meta.get("namespace", ""), meta["name"]) if part)


def parse(text: str, template: str) -> tuple[Manifest, ...]:
    """The objects of a rendered manifest. TemplateError if it is not YAML, or an object has no kind or name."""
    try:
        documents = [d for d in yaml.load_all(text, Loader=_LOADER) if d]
        return tuple(Manifest(name=identity(d), document=d) for d in documents)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise TemplateError(f"{template} renders no valid manifest: {error}") from error


def missing(want: Any, have: Any, at: str = "") -> Iterable[str]:
    """The paths of *want*'s leaves that *have* lacks or holds otherwise, with both values. A null declares nothing; an empty value may be absent."""
    if want is None or (want in ({}, []) and have is None):
        return
    if isinstance(want, Mapping):
        if not isinstance(have, Mapping):
            yield f"{at.lstrip('.') or '.'} is {_short(have)}, want {_short(want)}"
            return
        for key, value in want.items():
            yield from missing(value, have.get(key), f"{at}.{key}")
    elif isinstance(want, Sequence) and not isinstance(want, str) and isinstance(have, Sequence) and not isinstance(have, str):
        yield from _missing_items(want, have, at)
    elif want != have:
        yield f"{at.lstrip('.')} is {_short(have)}, want {_short(want)}"


def _missing_items(want: Sequence[Any], have: Sequence[Any], at: str) -> Iterable[str]:
    if len(want) != len(have):
        yield f"{at.lstrip('.')} has {len(have)} items, want {len(want)}"
        return
    named = all(isinstance(item, Mapping) and "name" in item for item in (*want, *have))
    by_name = {item["name"]: item for item in have} if named else {}
    for index, item in enumerate(want):
        other = by_name.get(item["name"]) if named else have[index]
        yield from missing(item, other, f"{at}[{item['name'] if named else index}]")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    first = text.splitlines()[0] if text else '""'
    return first if len(first) <= 60 and "\n" not in text else first[:57] + "…"


def _objects(live: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    items = live["items"] if live.get("kind") == "List" else [live]
    return {identity(item): item for item in items if item}


def compare(wanted: Iterable[Manifest | Node], live: Mapping[str, Any] | None) -> tuple[Change, ...]:
    """Changes against *live* (kubectl's JSON: an object or a List); None means that no API answers, so that everything is to be applied."""
    objects = _objects(live) if live else {}
    absent = "no API answers yet" if live is None else "no such object"
    changes = []
    for want in wanted:
        change = _node(want, objects.get(f"Node/{want.name}")) if isinstance(want, Node) else _manifest(want, objects.get(want.name), absent)
        changes += [change] if change else []
    return tuple(changes)


def _dump(document: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(document), sort_keys=False))


def _manifest(want: Manifest, have: Mapping[str, Any] | None, absent: str) -> Change | None:
    if have is None:
        return Change(host=CLUSTER, key=want.key, action=Action.CREATE, reason=absent, commands="", after=_dump(want.document), resource=want)
    reasons = list(missing(want.document, have))
    if not reasons:
        return None
    more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return Change(host=CLUSTER, key=want.key, action=Action.UPDATE, reason="; ".join(reasons[:3]) + more, commands="", resource=want)


def _owned_labels(have: Mapping[str, Any]) -> set[str]:
    owned: set[str] = set()
    for entry in have["metadata"].get("managedFields", []):
        if entry.get("manager") == names.FIELD_MANAGER and entry.get("operation") == "Apply":
            fields = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
            owned |= {key.removeprefix("f:") for key in fields if key.startswith("f:")}
    return owned


def taints(have: Mapping[str, Any]) -> set[str]:
    """A live node's taints as ``key[=value]:effect``."""
    found = (have.get("spec") or {}).get("taints") or []
    return {f"{t['key']}={t['value']}:{t['effect']}" if t.get("value") else f"{t['key']}:{t['effect']}" for t in found}


def _slot(taint: str) -> tuple[str, str]:
    """Key and effect: a node has one taint of each, and kubectl refuses to set and remove it in one command."""
    name, _, effect = taint.rpartition(":")
    return name.partition("=")[0], effect


def _node(want: Node, have: Mapping[str, Any] | None) -> Change | None:
    if have is None:
        return Change(
            host=CLUSTER, key=want.key, action=Action.UPDATE, reason="labels, taints and pod range, once it registers", commands="", resource=want
        )
    live, spec = have["metadata"].get("labels") or {}, have.get("spec") or {}
    ours = {t for t in (have["metadata"].get("annotations") or {}).get(TAINTS_NOTE, "").split(",") if t}
    reasons = [f"label {k}={live.get(k, '(none)')}, want {v}" for k, v in want.labels.items() if live.get(k) != v]
    reasons += [f"label {k}, want none" for k in sorted(_owned_labels(have) - set(want.labels))]
    reasons += [f"no taint {t}" for t in want.taints if t not in taints(have)]
    reasons += [f"taint {t}, want none" for t in sorted((ours - set(want.taints)) & taints(have))]
    reasons += [] if spec.get("podCIDR") == want.pod_range else [f"pod range {spec.get('podCIDR', 'none')}, want {want.pod_range}"]
    reasons += [] if ours == set(want.taints) else ["the note of our taints differs"]
    if not reasons:
        return None
    gone = sorted(t for t in (ours - set(want.taints)) & taints(have) if _slot(t) not in map(_slot, want.taints))
    before = json.dumps({"labels": sorted(_owned_labels(have) - set(want.labels)), "taints": gone})
    return Change(host=CLUSTER, key=want.key, action=Action.UPDATE, reason="; ".join(reasons), commands="", before=before, resource=want)


def document(resource: Manifest | Node) -> Mapping[str, Any]:
    """What is applied server-side for *resource*; taints go their own way, their list being atomic and shared with Kubernetes itself."""
    if isinstance(resource, Manifest):
        return resource.document
    meta = {"name": resource.name, "labels": dict(resource.labels), "annotations": {TAINTS_NOTE: ",".join(resource.taints)}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"podCIDR": resource.pod_range, "podCIDRs": [resource.pod_range]}}


def stub(resource: Manifest | Node) -> Mapping[str, Any]:
    """Just the identity, to ask for the live object."""
    full = document(resource)
    meta = {key: full["metadata"][key] for key in ("name", "namespace") if key in full["metadata"]}
    return {"apiVersion": full["apiVersion"], "kind": full["kind"], "metadata": meta}


def as_list(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """A ``v1 List`` as JSON, kubectl's one-file form of many objects."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}).encode()
