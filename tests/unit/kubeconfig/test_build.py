"""Kubeconfigs of ours: what is built can be read, by every dialect of YAML."""

from __future__ import annotations

from copy import deepcopy

import pytest
import yaml

from kbootstrap import kubeconfig
from kbootstrap.errors import UsageError
from kbootstrap.model.cluster import Endpoint, EndpointKind
from kbootstrap.testing.builders import a_cluster, a_pki

OURS = kubeconfig.admin(a_cluster(), a_pki(), owner="the cluster's id")


def test_an_error_never_shows_what_stands_around_it() -> None:
    with pytest.raises(UsageError) as caught:
        kubeconfig.parse("users:\n- name: a\n  user: {client-key-data: c2VjcmV0\n")
    assert "c2VjcmV0" not in str(caught.value)


def test_each_context_reads_back_as_what_it_was_built_of() -> None:
    pki = a_pki()
    for context, address in (("", "10.77.0.12"), ("kubernetes-admin@lab-m3", "10.77.0.13")):
        access = kubeconfig.read(kubeconfig.admin(a_cluster(), pki, owner="o", current="m2"), context)
        assert access.server == f"https://{address}:6443"
        assert (access.ca_pem, access.pair) == (pki.trust("ca"), pki.pair("admin"))


def test_an_unknown_current_master_leaves_the_first() -> None:
    assert kubeconfig.read(kubeconfig.admin(a_cluster(), a_pki(), owner="o", current="gone")).context == "kubernetes-admin@lab-m1"


def test_an_unusable_context_is_named() -> None:
    broken = deepcopy(yaml.safe_load(OURS))
    broken["clusters"] = []
    with pytest.raises(UsageError, match="kubernetes-admin@lab-m1"):
        kubeconfig.read(yaml.safe_dump(broken))


@pytest.mark.parametrize(
    ("address", "url"), [("10.0.0.5", "https://10.0.0.5:443"), ("fd00::5", "https://[fd00::5]:443"), ("api.example", "https://api.example:443")]
)
def test_an_external_endpoint_is_the_only_server(address: str, url: str) -> None:
    spec = a_cluster(endpoint=Endpoint(kind=EndpointKind.EXTERNAL, address=address, port=443))
    access = kubeconfig.read(kubeconfig.admin(spec, a_pki(), owner="o"))
    assert (access.context, access.server) == ("kubernetes-admin@lab", url)
    assert len(yaml.safe_load(kubeconfig.admin(spec, a_pki(), owner="o"))["contexts"]) == 1


@pytest.mark.parametrize(
    ("component", "server"),
    [
        ("controller-manager", "https://10.77.0.11:6443"),
        ("scheduler", "https://10.77.0.11:6443"),
        ("kubelet", "https://127.0.0.1:6443"),
        ("kube-proxy", "https://127.0.0.1:6443"),
        ("admin", "https://127.0.0.1:6443"),
    ],
)
def test_components_use_their_own_api_server_or_the_endpoint(component: str, server: str) -> None:
    spec, pki = a_cluster(), a_pki()
    text = kubeconfig.for_host(spec, spec.hosts[0], component, ca_pem=pki.trust("ca"), pair=pki.pair("admin"))
    assert kubeconfig.read(text).server == server
    assert "extensions" not in text


@pytest.mark.parametrize("name", ["y", "1e3", "0o14", "no", "0x1f", "1", "null", "a: b", "- x", "\u2028", "é", "x y"])
def test_a_text_that_some_yaml_takes_for_another_kind_is_quoted(name: str) -> None:
    text = kubeconfig.build(name, {name: "https://a:1"}, ca_pem=b"", user="u", pair=a_pki().pair("admin"), namespace=name)
    line = next(line for line in text.splitlines() if "namespace:" in line)
    assert '"' in line
    assert yaml.safe_load(text)["contexts"][0]["context"]["namespace"] == name


def test_a_token_stands_in_for_a_certificate() -> None:
    text = kubeconfig.build("lab", {"lab": "https://a:1"}, ca_pem=b"ca", user="u", token="t.o.k", namespace="team-a")  # noqa: S106  no real one
    access = kubeconfig.read(text)
    assert (access.token, access.pair.cert_pem, access.namespace) == ("t.o.k", b"", "team-a")
    assert "t.o.k" not in repr(access)


def test_only_contexts_with_our_mark_are_listed() -> None:
    text = kubeconfig.merge("contexts: [{name: theirs, context: {cluster: c, user: u}}]", OURS)
    assert kubeconfig.contexts(text, {"the cluster's id"}) == tuple(f"kubernetes-admin@lab-m{n}" for n in (1, 2, 3))
