"""Where each resolved setting comes from: ``kubelet.max_pods = 60, group gpu, cluster.yml:20:14``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from kbootstrap.inventory.draft import Draft
from kbootstrap.inventory.layers import Layer, layers_of, origin, set_values

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One resolved value; *source* is ``default``, ``cluster``, ``group <name>`` or ``host``, *where* is ``file:line:column`` or empty."""

    name: str
    value: Any
    source: str
    where: str = ""


def explain(draft: Draft, host: str = "") -> tuple[Setting, ...]:
    """Every setting of *host*, or without one every cluster-wide setting. KeyError if there is no such host."""
    if host:
        return tuple(_settings(draft, draft.spec.host(host), layers_of(draft.file, host), skip=("name", "roles")))
    layer = Layer(name="cluster", path=(), values=set_values(draft.file))
    return tuple(_settings(draft, draft.spec, (layer,), skip=("hosts",)))


def _settings(draft: Draft, root: Any, layers: tuple[Layer, ...], *, skip: tuple[str, ...]) -> Iterator[Setting]:
    for path, value in _leaves(root, ()):
        if path[0] in skip:
            continue
        key = ("cluster",) if path == ("name",) else path
        layer = origin(layers, key)
        where = draft.document.where(draft.document.mark((*layer.path, *key))) if layer else ""
        yield Setting(name=".".join(key), value=value, source=layer.name if layer else DEFAULT, where=where)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif path:
        yield path, value
