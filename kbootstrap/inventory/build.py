"""From the typed file to ClusterSpec: layers merged per host, paths resolved, the model's defaults for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kbootstrap.catalog import ports, releases
from kbootstrap.inventory.layers import entries, host_names, layers_of, merge, set_values
from kbootstrap.inventory.schema import ClusterFile
from kbootstrap.model.cluster import (
    Artifacts,
    Audit,
    Certificates,
    ClusterSpec,
    Endpoint,
    EndpointKind,
    Etcd,
    Network,
    NodeFailure,
    PodSecurity,
    Preflight,
)  # fmt: skip
from kbootstrap.model.host import Bastion, Firewall, Host, HostPrep, Kubelet, Proxy, Role, Runtime, Ssh, Sudo

DEFAULT_USER: Final = "root"


def build(file: ClusterFile, folder: Path) -> ClusterSpec:
    """The spec of *file*; hosts without an address are left out (the rules report them). *folder* is where relative paths start."""
    values = set_values(file)
    kubernetes = file.kubernetes or releases.default_kubernetes()
    versions = {name: version for name, version in releases.default_versions(kubernetes).items() if name != "kubernetes"}
    artifacts = values.get("artifacts", {})
    if (mirror := artifacts.get("mirror")) and "://" not in mirror:
        artifacts["mirror"] = str(resolve(mirror, folder))
    return ClusterSpec(
        name=file.cluster or "unnamed",
        kubernetes=kubernetes,
        versions=versions | (file.versions or {}),
        network=Network(**values.get("network", {})),
        hosts=tuple(host for name in host_names(file) if (host := build_host(file, name, folder))),
        endpoint=_endpoint(values.get("endpoint", {})),
        node_failure=NodeFailure(**values.get("node_failure", {})),
        etcd=Etcd(**values.get("etcd", {})),
        certificates=Certificates(**_with_path(values.get("certificates", {}), "passphrase_file", folder)),
        audit=Audit(**values.get("audit", {})),
        pod_security=PodSecurity(**values.get("pod_security", {})),
        artifacts=Artifacts(**artifacts),
        preflight=Preflight(**values.get("preflight", {})),
        **{key: values[key] for key in ("cloud",) if key in values},
    )


def build_host(file: ClusterFile, name: str, folder: Path) -> Host | None:
    """The host *name* with every setting resolved; None if it has no address."""
    merged = merge(layer.values for layer in layers_of(file, name))
    address = merged.get("address")
    if address is None:
        return None
    roles = {role for role, key in ((Role.MASTER, "masters"), (Role.WORKER, "workers")) if name in entries(file, key)}
    return Host(
        name=name,
        address=address,
        roles=frozenset(roles),
        ssh=_ssh(merged.get("ssh", {}), str(address), folder),
        host=HostPrep(**merged.get("host", {})),
        runtime=Runtime(**merged.get("runtime", {})),
        kubelet=Kubelet(**merged.get("kubelet", {})),
        proxy=Proxy(**merged.get("proxy", {})),
        firewall=Firewall(**merged.get("firewall", {})),
        **{key: merged[key] for key in ("arch", "labels", "taints", "extra_args") if key in merged},
    )


def resolve(path: str, folder: Path) -> Path:
    """``~`` expanded; a relative path starts at *folder*."""
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:  # no such user: left as written, the task that reads the file says so
        expanded = Path(path)
    return expanded if expanded.is_absolute() else folder / expanded


def _ssh(values: Mapping[str, Any], address: str, folder: Path) -> Ssh:
    user = values.get("user", DEFAULT_USER)
    bastion = _with_path(values.get("bastion", {}), "key", folder)
    sudo = _with_path(values.get("sudo", {}), "password_file", folder)
    asks = sudo.get("password", "password_file" in sudo)
    rest = {key: value for key, value in _with_path(values, "key", folder).items() if key in ("port", "key")}
    return Ssh(
        user=user,
        host=values.get("host", address),
        sudo=Sudo(**{**sudo, "password": asks, "needed": sudo.get("needed", asks)}),
        bastion=Bastion(**{"user": user, **bastion}) if "host" in bastion else None,
        **rest,
    )


def _with_path(values: Mapping[str, Any], key: str, folder: Path) -> dict[str, Any]:
    return {name: resolve(value, folder) if name == key else value for name, value in values.items()}


def _endpoint(values: Mapping[str, Any]) -> Endpoint:
    endpoint = Endpoint(**values)
    if endpoint.kind is EndpointKind.EXTERNAL and not endpoint.port:
        return Endpoint(kind=endpoint.kind, address=endpoint.address, port=ports.API.number)
    return endpoint
