"""Cases as data: one file is one sentence about one kind of resource, ``tests/cases/<kind>/<sentence>.yml``.

``desired`` is the resource, ``observed`` what the probe printed on the host (for objects of the API: the live object), ``expected`` what follows:
``action``, ``reason``, ``commands`` (and ``payload``, ``before``, ``after``); or ``nothing: <why not>``. ``changing`` are paths that the same plan
replaces. ``KB_UPDATE_CASES=1 pytest tests/unit/test_cases.py`` writes what is found into the files: read the difference before you keep it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap.model.plan import Change
from kbootstrap.model.resource import (
    Allow,
    Binary,
    Blob,
    ContainerImage,
    Directory,
    File,
    Firewall,
    Manifest,
    Module,
    Node,
    Package,
    Resource,
    Service,
    Swap,
    Sysctl,
    User,
)
from kbootstrap.plan import manifests
from kbootstrap.resources import KINDS
from kbootstrap.resources.difference import Difference, Order

ROOT = Path(__file__).parents[1] / "cases"
RESOURCES: dict[str, type[Resource]] = {
    kind.kind: kind for kind in (Binary, ContainerImage, Directory, File, Firewall, Manifest, Module, Node, Package, Service, Swap, Sysctl, User)
}
CASES = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.glob("*/*.yml"))
VALUES: dict[str, Callable[[Any], Any]] = {
    "mode": lambda text: int(text, 8),
    "content": str.encode,
    "blob": lambda blob: Blob(sha256=blob["sha256"], size=blob["size"], path=Path("artifact")),
    "binaries": tuple,
    "reloads": frozenset,
    "taints": tuple,
    "rules": lambda rules: tuple(Allow(**{**rule, "networks": tuple(map(IPv4Network, rule["networks"]))}) for rule in rules),
    "pods": IPv4Network,
}


def desired(kind: str, given: dict[str, Any]) -> Any:
    return RESOURCES[kind](**{name: VALUES.get(name, lambda value: value)(value) for name, value in given.items()})


def found(kind: str, case: dict[str, Any]) -> dict[str, Any]:
    """What follows from the case, in the words of ``expected``."""
    want = desired(kind, case["desired"])
    if kind in ("manifest", "node"):
        live = case["observed"]
        changes = manifests.compare([want], {"kind": "List", "items": [live] if live else []})
        return told(changes[0]) if changes else {}
    seen = KINDS[kind].parse(case["observed"] or "").get(want.name)
    more = {"changing": frozenset(case["changing"])} if "changing" in case else {}
    difference = KINDS[kind].diff(want, seen, **more)
    order = KINDS[kind].commands(want, difference) if difference and kind != "firewall" else None  # its script is golden
    return told(difference, order) if difference else {}


def told(difference: Difference | Change, order: Order | None = None) -> dict[str, Any]:
    """Without what is empty."""
    words: dict[str, Any] = {"action": difference.action.value, "reason": difference.reason, "before": difference.before, "after": difference.after}
    if order is not None:
        words |= {"commands": order.text, "payload": order.payload.decode(), "blob": order.blob.sha256 if order.blob else ""}
    return {name: value for name, value in words.items() if value}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    path = ROOT / f"{name}.yml"
    case = yaml.safe_load(path.read_text())
    assert set(case) - {"changing"} == {"desired", "observed", "expected"}
    result = found(path.parent.name, case)
    expected = case["expected"]
    if os.environ.get("KB_UPDATE_CASES"):
        case["expected"] = result or expected
        path.write_text(yaml.dump(case, Dumper=Readable, sort_keys=False, allow_unicode=True, width=150))
        return
    if "nothing" in expected:
        assert expected["nothing"], "a case without a change says why"
        assert result == {}
    else:
        assert result == expected


class Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, _text)


def test_every_kind_has_cases() -> None:
    assert {name.partition("/")[0] for name in CASES} == set(KINDS) | {"manifest", "node"}
