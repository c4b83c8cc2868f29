"""What the inventory says of auditing and of pods' security, as API servers read it."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap import inventory
from kbootstrap.errors import InventoryError
from kbootstrap.model.cluster import Audit, ClusterSpec, PodSecurity
from kbootstrap.render import apiserver
from kbootstrap.render.context import view
from kbootstrap.render.env import Renderer
from kbootstrap.store import assets

HEAD = 'cluster: lab\nkubernetes: "1.36.3"\nhosts: {masters: {m1: {address: 10.0.0.1}}, workers: {m1: {}}}\n'
RULES = 'audit: {rules: [{level: RequestResponse, resources: [{group: "", resources: [pods]}]}, {level: None, users: ["<x>"]}], max_age_days: 90}\n'


def loaded(folder: Path, text: str) -> ClusterSpec:
    path = folder / "cluster.yml"
    path.write_text(HEAD + text)
    return inventory.load(path)


def rendered(spec: ClusterSpec, name: str) -> Any:
    seen = view(spec, spec.hosts[0], pod_ranges={"m1": IPv4Network("10.244.0.0/24")}, images={"pause": "p", "coredns": "c"})
    return yaml.safe_load(Renderer((assets.folder("templates"),)).render(f"apiserver/{name}.j2", seen))


def test_nothing_said_is_nothing_changed(tmp_path: Path) -> None:
    spec = loaded(tmp_path, "")
    assert (spec.audit, spec.pod_security) == (Audit(), PodSecurity())
    assert [plugin["name"] for plugin in rendered(spec, "admission.yaml")["plugins"]] == ["EventRateLimit"]
    assert len(rendered(spec, "audit-policy.yaml")["rules"]) == 7


def test_own_audit_rules_decide_behind_those_that_keep_secrets_out_and_before_the_rest(tmp_path: Path) -> None:
    spec = loaded(tmp_path, RULES)
    rules = rendered(spec, "audit-policy.yaml")["rules"]
    mine = [number for number, rule in enumerate(rules) if rule in spec.audit.rules]
    assert [rules[number] for number in mine] == list(spec.audit.rules)
    secrets = next(number for number, rule in enumerate(rules) if "secrets" in str(rule.get("resources")))
    assert secrets < mine[0] < mine[1] < len(rules) - 2
    assert rules[secrets]["level"] == "Metadata"
    assert "--audit-log-maxage=90" in apiserver.arguments(spec, spec.hosts[0])


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{resources: [{group: apps}]}", "says its level"),
        ("{level: Everything}", "says its level"),
        ("{level: Request, verb: [get]}", "has no verb"),
        ("{level: Request, namespaces: [a], nonResourceURLs: [/x]}", "not both"),
        ("Request", "is a mapping"),
    ],
)
def test_a_rule_that_no_api_server_would_start_with_is_refused(tmp_path: Path, rule: str, said: str) -> None:
    with pytest.raises(InventoryError) as refused:
        loaded(tmp_path, f"audit:\n  rules: [{rule}]\n")
    assert said in "".join(str(problem) for problem in refused.value.problems) + str(refused.value)


def test_pod_security_is_what_the_inventory_says_and_ours_are_exempt(tmp_path: Path) -> None:
    spec = loaded(tmp_path, "pod_security: {enforce: baseline, warn: restricted, exempt: [storage, kube-system]}\n")
    (plugin,) = [plugin for plugin in rendered(spec, "admission.yaml")["plugins"] if plugin["name"] == "PodSecurity"]
    assert plugin["configuration"] == {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {
            "enforce": "baseline", "enforce-version": "latest", "audit": "privileged", "audit-version": "latest",
            "warn": "restricted", "warn-version": "latest",
        },
        "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system", "storage"]},
    }  # fmt: skip
