"""All that a template may see of the cluster and of one host: ``view()``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

from kbootstrap.catalog import names, paths
from kbootstrap.catalog.ports import API
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.host import Host
from kbootstrap.render import apiserver, controller_manager, coredns, endpoint, etcd, kubelet, network, proxy, scheduler, timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a unit records at its start: *files* by sha256 (the unit file is added by the template), *binaries* by inode, size, mtime and ctime.
    *unit* is the unit's name (``etcd.service``); the record is ``/run/kbootstrap/<unit>.started``."""

    unit: str
    files: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()


def view(
    spec: ClusterSpec,
    host: Host,
    *,
    pod_ranges: Mapping[str, IPv4Network],
    images: Mapping[str, str],
    inputs: Inputs | None = None,
) -> Mapping[str, Any]:
    """The context of every template of *host*.

    *pod_ranges*: host name → its pod range, for all hosts; *images*: ``pause``, ``coredns`` → reference; *inputs* only for unit templates.
    """
    found: dict[str, Any] = {
        "cluster": spec.name,
        "host": host,
        "paths": _PATHS,
        "names": _NAMES,
        "http2": {"read_idle_s": timing.READ_IDLE_S, "ping_s": timing.PING_S},
    }
    found |= _node(spec, host, images)
    if spec.network.plugin is not Plugin.NONE:
        found["network"] = network.view(spec, host, pod_ranges)
    if inputs is not None:
        found["inputs"] = inputs
    if host.is_master:
        found |= _control_plane(spec, host)
    return found


def alone(spec: ClusterSpec, host: Host, variables: Mapping[str, str], inputs: Inputs | None = None) -> Mapping[str, Any]:
    """The context of a role that is applied by itself: the host, all hosts, and the role's own ``vars``; nothing of any component."""
    found: dict[str, Any] = {"cluster": spec.name, "host": host, "hosts": spec.hosts, "vars": variables, "paths": _PATHS, "names": _NAMES}
    return found if inputs is None else {**found, "inputs": inputs}


def _constants(module: ModuleType) -> dict[str, str]:
    return {name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


_PATHS, _NAMES = _constants(paths), _constants(names)


def _node(spec: ClusterSpec, host: Host, images: Mapping[str, str]) -> dict[str, Any]:
    return {
        "containerd": {
            "sandbox": images["pause"],
            "restrict_oom_score_adj": host.runtime.restrict_oom_score_adj,
            "systemd_cgroup": host.kubelet.cgroup_driver == "systemd",
        },
        "kubelet": {
            "arguments": kubelet.arguments(spec, host),
            "configuration": kubelet.configuration(spec, host),
            "resolv_conf": kubelet.RESOLV_CONF,
            "resolvers": kubelet.RESOLVERS,
        },
        "proxy": {"arguments": proxy.arguments(host), "configuration": proxy.configuration(spec, host)},
        "endpoint": {
            "port": API.number,
            "backends": endpoint.backends(spec),
            "gateway_arguments": endpoint.gateway_arguments(spec),
        },
        "coredns": coredns.view(spec, images["coredns"]),
    }


def _control_plane(spec: ClusterSpec, host: Host) -> dict[str, Any]:
    return {
        "etcd": {"arguments": etcd.arguments(spec, host)},
        "apiserver": {
            "credentials": apiserver.credentials(),
            "arguments": apiserver.arguments(spec, host),
            "log_directory": str(PurePosixPath(paths.AUDIT_LOG).parent),
            "audit_rules": spec.audit.rules,
            "pod_security": apiserver.pod_security(spec),
        },
        "controller_manager": {"credentials": controller_manager.credentials(), "arguments": controller_manager.arguments(spec, host)},
        "scheduler": {"credentials": scheduler.credentials(), "arguments": scheduler.arguments(host)},
    }
