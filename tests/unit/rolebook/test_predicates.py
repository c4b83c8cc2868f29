"""What ``when:`` may ask, and that every question of our roles has an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kbootstrap.model.cluster import Endpoint, EndpointKind, Plugin
from kbootstrap.rolebook.predicates import PREDICATES
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(1, 1)


@pytest.mark.parametrize(
    ("plugin", "true"),
    [
        (Plugin.ROUTES, {"plugin-routes", "plugin-bridge"}),
        (Plugin.VXLAN, {"plugin-vxlan", "plugin-bridge"}),
        (Plugin.NONE, set[str]()),
    ],
)
def test_a_plugin_answers_to_its_names(plugin: Plugin, true: set[str]) -> None:
    spec = replace(SPEC, network=replace(SPEC.network, plugin=plugin))
    assert {name for name, ask in PREDICATES.items() if name.startswith("plugin-") and ask(spec, spec.hosts[0])} == true


@pytest.mark.parametrize(
    ("kind", "true"),
    [(EndpointKind.HAPROXY, {"endpoint-haproxy"}), (EndpointKind.GATEWAY, {"endpoint-gateway"}), (EndpointKind.EXTERNAL, set[str]())],
)
def test_at_most_one_endpoint(kind: EndpointKind, true: set[str]) -> None:
    spec = replace(SPEC, endpoint=Endpoint(kind=kind, address="10.0.0.5" if kind is EndpointKind.EXTERNAL else "", port=443))
    assert {name for name, ask in PREDICATES.items() if name.startswith("endpoint-") and ask(spec, spec.hosts[0])} == true


def test_addons_run_on_workers_and_on_masters_that_are_alone() -> None:
    ask, alone = PREDICATES["ordinary-pods"], a_cluster(3, 0)
    assert [ask(SPEC, host) for host in SPEC.hosts] == [False, True]
    assert all(ask(alone, host) for host in alone.hosts)
