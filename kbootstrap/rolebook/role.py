"""RoleDef: one ``role.yml`` as a value, with every name still a name; ``expand.py`` turns it into resources of a host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kbootstrap.catalog import paths


class On(StrEnum):
    """Which hosts a role is for."""

    MASTER = "master"
    WORKER = "worker"
    ALL = "all"


class Rollout(StrEnum):
    """How restarts of *running* daemons go: ``serial`` is one host after the other, each behind the role's health gate."""

    SERIAL = "serial"
    PARALLEL = "parallel"


class Input(StrEnum):
    """What a service is restarted for; a group that is left out is re-read by the daemon itself."""

    BINARIES = "binaries"
    CERTS = "certs"
    FILES = "files"
    KUBECONFIGS = "kubeconfigs"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDef:
    """A system user with a group of the same name and no login."""

    name: str
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryDef:
    """A directory; *owner* is user and group."""

    path: str
    mode: int = 0o755
    owner: str = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class BinaryDef:
    """The artifact *name* at *path* (default ``paths.BIN/<name>``); the same artifact may lie at a second path under another name."""

    name: str
    path: str = ""

    @property
    def target(self) -> str:
        """The absolute path on the host."""
        return self.path or f"{paths.BIN}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDef:
    """A rendered file; *secret* keeps its content out of diffs and logs."""

    path: str
    template: str
    mode: int = 0o644
    owner: str = "root"
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestDef:
    """A template whose YAML documents are applied to the API."""

    template: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDef:
    """A systemd unit, rendered to ``paths.unit(unit)`` as 0600 root, enabled and running; restarted when one of *inputs* or itself differs.

    For what is in *reloads* too it is only reloaded (its ``ExecReload=`` writes the record).
    """

    unit: str
    template: str
    inputs: tuple[Input, ...] = (Input.BINARIES, Input.CERTS, Input.FILES, Input.KUBECONFIGS)
    reloads: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDef:
    """A role. ``when`` names a predicate, ``health`` a gate of ``plan/checks``; ``certs`` are ids of the certificate table without the host,
    the CA names, ``sa`` (the service-account pair) and ``encryption`` (the encryption-at-rest configuration)."""

    name: str
    on: On
    when: str = ""
    rollout: Rollout = Rollout.PARALLEL
    users: tuple[UserDef, ...] = ()
    packages: tuple[str, ...] = ()
    directories: tuple[DirectoryDef, ...] = ()
    modules: tuple[str, ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    swap: str = ""  # "off": swapped off for good, unless the host's own setting leaves it (as with sysctl and modules)
    firewall: str = ""  # "matrix": let in what the table of ports says
    binaries: tuple[BinaryDef, ...] = ()
    images: tuple[str, ...] = ()
    certs: tuple[str, ...] = ()
    kubeconfigs: tuple[str, ...] = ()
    files: tuple[FileDef, ...] = ()
    manifests: tuple[ManifestDef, ...] = ()
    services: tuple[ServiceDef, ...] = ()
    health: str = ""
    vars: tuple[tuple[str, str], ...] = ()  # what templates of a role that is applied by itself see as ``vars``
