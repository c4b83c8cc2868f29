"""The folder of a cluster: ``inventory/<cluster>/`` and what lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Every path that a cluster has on the operator's machine."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def cluster_yml(self) -> Path:
        return self.root / "cluster.yml"

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def state(self) -> Path:
        return self.root / "state.yml"

    @property
    def overrides(self) -> Path:
        return self.root / "overrides"

    @property
    def admin_conf(self) -> Path:
        return self.root / "admin.conf"

    @property
    def pins(self) -> Path:
        return self.root / "pins.yml"

    @property
    def autopsies(self) -> Path:
        return self.root / "autopsy"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"
