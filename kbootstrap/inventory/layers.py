"""Precedence: default < cluster < group (in the order of the file) < host. Mappings merge deeply, lists and scalars replace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from kbootstrap.inventory.schema import ClusterFile, HostEntry, Settings
from kbootstrap.inventory.tree import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The settings that one place of the file gives: ``cluster``, ``group gpu``, ``host``; *path* is that place."""

    name: str
    path: Path
    values: Mapping[str, Any]


def host_names(file: ClusterFile) -> tuple[str, ...]:
    """Masters first, each host once."""
    return tuple(dict.fromkeys([*entries(file, "masters"), *entries(file, "workers")]))


def entries(file: ClusterFile, role: str) -> Mapping[str, HostEntry]:
    """The hosts under ``masters`` or ``workers``."""
    return (getattr(file.hosts, role) if file.hosts else None) or {}


def layers_of(file: ClusterFile, host: str) -> tuple[Layer, ...]:
    """The layers that concern *host*, the widest first."""
    layers = [Layer(name="cluster", path=(), values=_only(set_values(file), Settings))]
    for name, group in (file.groups or {}).items():
        if host in (group.hosts or []):
            layers.append(Layer(name=f"group {name}", path=("groups", name), values=_only(set_values(group), Settings)))
    for role in ("masters", "workers"):
        if entry := entries(file, role).get(host):
            layers.append(Layer(name="host", path=("hosts", role, host), values=set_values(entry)))
    return tuple(layers)


def merge(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Later values win; mappings are merged key by key."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = result.get(key)
            result[key] = merge([before, value]) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return result


def origin(layers: tuple[Layer, ...], path: tuple[str, ...]) -> Layer | None:
    """The layer whose value at *path* won, or None where the default holds."""
    for layer in reversed(layers):
        node: Any = layer.values
        for step in path:
            node = node.get(step) if isinstance(node, Mapping) else None
        if node is not None:
            return layer
    return None


def set_values(model: BaseModel) -> dict[str, Any]:
    """What the file sets, without what it leaves empty; lists as tuples."""
    values: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            values[name] = set_values(value)
        elif value is not None:
            values[name] = tuple(value) if isinstance(value, list) else value
    return values


def _only(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in model.model_fields}
