"""The shape of ``cluster.yml``: every key there is, with its type. Closed: an unknown key is an error.

No field has a default here: defaults are those of the dataclasses in model/cluster.py and host.py, written once. What must be present, and what
values mean together, is the matter of the rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from kbootstrap.catalog import releases
from kbootstrap.inventory import fields as f
from kbootstrap.inventory.sections import (
    Artifacts,
    Audit,
    Certificates,
    Closed,
    Endpoint,
    Etcd,
    Network,
    NodeFailure,
    PodSecurity,
    Preflight,
)
from kbootstrap.model.cluster import EndpointKind
from kbootstrap.model.host import FirewallMode, ProxyMode

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"]


def _known_component(text: str) -> str:
    names = [name for name in releases.default_versions("") if name != "kubernetes"]
    if text not in names:
        raise ValueError(f"not a component with a version of its own; known: {', '.join(names)}")
    return text


class Bastion(Closed):
    """A host to go through; its key is checked against the same known_hosts."""

    host: f.Reachable | None = Field(None, description="Name or address of the bastion.")
    user: f.User | None = None
    port: f.Port | None = None
    key: f.FilePath | None = None


class Sudo(Closed):
    """How to become root; the password itself never stands in the inventory."""

    needed: f.Truth | None = Field(None, description="The user becomes root by sudo.")
    password: f.Truth | None = Field(None, description="sudo asks for a password (true or false, not the password).")
    password_file: f.FilePath | None = Field(None, description="A file of mode 0600 that holds the password.")


class Ssh(Closed):
    """The way in; host and port may differ from the address that the cluster uses."""

    user: f.User | None = None
    host: f.Reachable | None = Field(None, description="Default: the host's address.")
    port: f.Port | None = None
    key: f.FilePath | None = Field(None, description="Private key; relative to the folder of cluster.yml, ~ expands. Default: the SSH agent.")
    sudo: Annotated[Sudo, f.Empty] | None = None
    bastion: Annotated[Bastion, f.Empty] | None = None


class HostPrep(Closed):
    """What may be changed on the host's system."""

    swap: Literal["off", "leave"] | None = None
    sysctl: Literal["all", "namespaced", "leave"] | None = Field(None, description="namespaced: only net.*, for hosts in containers.")
    modules: Literal["load", "leave"] | None = None


class Runtime(Closed):
    """containerd."""

    restrict_oom_score_adj: f.Truth | None = Field(None, description="For machines whose root lacks CAP_SYS_RESOURCE.")


class Kubelet(Closed):
    """kubelet."""

    max_pods: Annotated[f.Integer, Field(ge=1, le=1000)] | None = None
    cgroup_driver: Literal["systemd", "cgroupfs"] | None = None
    fail_swap_on: f.Truth | None = None
    allow_cgroup_v1: f.Truth | None = None
    config: Annotated[dict[str, Any], f.Empty] | None = Field(None, description="Merged over the KubeletConfiguration that is rendered.")


class Proxy(Closed):
    """kube-proxy."""

    mode: ProxyMode | None = None
    conntrack_max_per_core: Annotated[f.Integer, Field(ge=0)] | None = Field(None, description="0 leaves the kernel's value (inside containers).")
    config: Annotated[dict[str, Any], f.Empty] | None = Field(None, description="Merged over the KubeProxyConfiguration that is rendered.")


def _word(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


class Firewall(Closed):
    """The host's firewall."""

    manage: Annotated[FirewallMode, BeforeValidator(_word, json_schema_input_type=Literal[True, False, "report"])] | None = Field(
        None, description="true: open what the cluster needs where a firewall is active; false: leave it alone; report: only say what is needed."
    )
    strict: f.Truth | None = Field(None, description="Drop everything that comes in but what the cluster needs, SSH and ICMP.")


class Settings(Closed):
    """Settings of hosts: for all at the top, for some in a group, for one at the host; the narrower wins, lists replace."""

    arch: Literal["amd64", "arm64"] | None = None
    ssh: Annotated[Ssh, f.Empty] | None = None
    host: Annotated[HostPrep, f.Empty] | None = None
    runtime: Annotated[Runtime, f.Empty] | None = None
    kubelet: Annotated[Kubelet, f.Empty] | None = None
    proxy: Annotated[Proxy, f.Empty] | None = None
    firewall: Annotated[Firewall, f.Empty] | None = None
    labels: Annotated[dict[f.LabelKey, f.LabelValue], f.Empty] | None = None
    taints: list[f.TaintText] | None = Field(None, description='["key=value:NoSchedule"]')
    extra_args: Annotated[dict[Component, Annotated[dict[f.Flag, f.FlagValue], f.Empty]], f.Empty] | None = Field(
        None, description="component: {flag without dashes: value}"
    )


class Group(Settings):
    """Settings for some hosts; of two groups with the same host the later one in the file wins."""

    hosts: list[f.HostName] | None = None


class HostEntry(Settings):
    """One host."""

    address: f.Address | None = Field(None, description="What the cluster uses.")


_Entry = Annotated[HostEntry, BeforeValidator(lambda value: {} if value is None else value, json_schema_input_type=HostEntry | None)]


class Hosts(Closed):
    """A host may stand in both lists: its settings in one, {} in the other."""

    masters: Annotated[dict[f.HostName, _Entry], f.Empty] | None = Field(None, description="An odd number: 1, 3, 5 …")
    workers: Annotated[dict[f.HostName, _Entry], f.Empty] | None = None


def _endpoint(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class ClusterFile(Settings):
    """A cluster of kbootstrap."""

    cluster: f.Name | None = Field(None, description="The cluster's name.")
    kubernetes: f.Version | None = Field(None, description='A full version in quotes: "1.36.3".')
    versions: dict[Annotated[str, BeforeValidator(_known_component)], f.Version] | None = None
    network: Annotated[Network, f.Empty] | None = None
    endpoint: Annotated[Endpoint, BeforeValidator(_endpoint, json_schema_input_type=EndpointKind | Endpoint)] | None = None
    etcd: Annotated[Etcd, f.Empty] | None = None
    node_failure: Annotated[NodeFailure, f.Empty] | None = None
    certificates: Annotated[Certificates, f.Empty] | None = None
    audit: Annotated[Audit, f.Empty] | None = None
    pod_security: Annotated[PodSecurity, f.Empty] | None = None
    artifacts: Annotated[Artifacts, f.Empty] | None = None
    preflight: Annotated[Preflight, f.Empty] | None = None
    cloud: Literal["none", "external"] | None = None
    groups: Annotated[dict[f.Name, Annotated[Group, f.Empty]], f.Empty] | None = None
    hosts: Annotated[Hosts, f.Empty] | None = None


def json_schema() -> dict[str, Any]:
    """The JSON Schema that editors complete and check ``cluster.yml`` with."""
    schema = ClusterFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_without_null(schema), "required": ["cluster", "kubernetes", "hosts"]}


def _without_null(node: Any) -> Any:
    """The schema without «or null» on every key: absent is how a setting is left out."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    options = kept.get("anyOf")
    if "default" not in node or not isinstance(options, list):
        return kept
    options = [option for option in options if option != {"type": "null"}]
    rest = {key: value for key, value in kept.items() if key != "anyOf"}
    return {**rest, **options[0]} if len(options) == 1 else {**rest, "anyOf": options}
