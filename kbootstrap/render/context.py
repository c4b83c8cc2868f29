"""All that a template may see of the cluster and of one host: ``view()``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from kbootstrap.model.cluster import ClusterSpec, Host


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
    etcd_state: str = "new",
) -> Mapping[str, Any]:
    """The context of every template of *host*.

    *pod_ranges*: host name → its pod range, for all hosts; *images*: ``pause``, ``coredns`` → reference; *inputs* only for unit templates;
    *etcd_state*: ``new`` or ``existing``, what a member with an empty data directory is told.
    """
    raise NotImplementedError
