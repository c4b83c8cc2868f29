"""The JSON Schema knows what the checker knows."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from kbootstrap.inventory import json_schema
from kbootstrap.inventory.schema import ClusterFile
from kbootstrap.model import cluster, host

SCHEMA = json_schema()
TYPES = [
    "Artifacts",
    "Audit",
    "Bastion",
    "Certificates",
    "Endpoint",
    "Etcd",
    "HostPrep",
    "Kubelet",
    "Network",
    "NodeFailure",
    "PodSecurity",
    "Proxy",
    "Runtime",
    "Ssh",
    "Sudo",
]


def walk(node: Any) -> list[dict[str, Any]]:
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return ([node] if isinstance(node, dict) else []) + [found for each in below for found in walk(each)]


def test_every_key_is_there_and_no_other_is_allowed() -> None:
    assert set(SCHEMA["properties"]) == set(ClusterFile.model_fields)
    assert SCHEMA["required"] == ["cluster", "kubernetes", "hosts"]
    assert all(each["additionalProperties"] is False for each in walk(SCHEMA) if "properties" in each and each.get("type") == "object")


def test_every_reference_leads_somewhere() -> None:
    references = {each["$ref"] for each in walk(SCHEMA) if "$ref" in each}
    assert references
    assert references <= {f"#/$defs/{name}" for name in SCHEMA["$defs"]}
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_text_is_text_and_numbers_are_numbers() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["HostEntry"]["properties"]["address"]["type"] == "string"
    assert definitions["Ssh"]["properties"]["port"] | {"type": "integer", "minimum": 1, "maximum": 65535} == definitions["Ssh"]["properties"]["port"]
    assert definitions["Plugin"]["enum"] == ["routes", "vxlan", "none"]


@pytest.mark.parametrize("name", TYPES)
def test_the_shape_has_the_fields_of_the_model(name: str) -> None:
    fields = {field.name for field in dataclasses.fields(getattr(host, name, None) or getattr(cluster, name))}
    assert set(SCHEMA["$defs"][name]["properties"]) == fields
