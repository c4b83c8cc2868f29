"""Facts: what a host says of itself. Preflight compares them with the inventory; they are never a source of addresses or names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kbootstrap.model.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of one host, from its read. *clock_s* is the host's time minus ours at the middle of the read; *addresses* are IPv4 with prefix."""

    hostname: str = ""
    arch: str = ""
    os: str = ""
    kernel: str = ""
    systemd: int = 0
    cpus: int = 0
    memory_kb: int = 0
    cgroup: str = ""  # v1 | v2
    machine_id: str = ""
    boot_id: str = ""
    clock_s: float = 0.0
    addresses: tuple[str, ...] = ()
    swap: bool = False
    unpacks: tuple[str, ...] = ()  # of zstd and gzip, what it has
    ca_sha256: str = ""  # of paths.CA as a file, "" if there is none
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything one read brought from a host: facts, the preflight's survey, the ledger's text, and per kind what its ``parse`` made of it."""

    host: str
    facts: Facts
    survey: Survey = field(default_factory=Survey)
    ledger: str = ""
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
