"""Releases: which binary comes from where, with which published checksum, and how it is built from Go modules.

The data lies in ``releases.yml`` beside this file. A *component* is what an inventory gives a version (kubernetes, etcd, containerd, runc,
cni-plugins, coredns); a *download* is one official file; a *build* is one ``go build``. Versions are plain text without ``v``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import yaml

from kbootstrap.errors import ArtifactError, UsageError

ARCHITECTURES = ("amd64", "arm64")
_DIGITS = {"sha256": 64, "sha512": 128}
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A published checksum; *algorithm* is sha256 or sha512, *value* lower-case hex."""

    algorithm: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Read ``sha256:<64 hex digits>`` or ``sha512:<128>``; ArtifactError for anything else."""
        algorithm, _, value = text.strip().lower().partition(":")
        if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS.get(algorithm, 0)}}}", value) or not value:
            raise ArtifactError(f"«{text}» is not a checksum", hint="Expected sha256:<64 hex digits> or sha512:<128 hex digits>.")
        return cls(algorithm, value)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One official file. *provides*: binary → member of the archive, "" when the file is the binary itself."""

    name: str
    component: str
    url_pattern: str
    provides: Mapping[str, str]
    checksums: Mapping[tuple[str, str], Checksum]  # (version, arch) → published checksum
    sums_pattern: str = ""

    def url(self, version: str, arch: str) -> str:
        """The official address of the file."""
        return self.url_pattern.format(version=version, arch=arch)

    def path(self, version: str, arch: str) -> str:
        """The part of the address after the host: where a mirror keeps the file."""
        return urlsplit(self.url(version, arch)).path.lstrip("/")

    def sums_url(self, version: str, arch: str) -> str:
        """The official address of the text that holds the file's sha256; "" if there is none."""
        url = self.url(version, arch)
        return self.sums_pattern.format(url=url, folder=url.rpartition("/")[0])

    def member(self, binary: str, version: str, arch: str) -> str:
        """The path of *binary* inside the archive, "" if the file is no archive."""
        return self.provides[binary].format(version=version, arch=arch)

    @property
    def is_archive(self) -> bool:
        return any(self.provides.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a component's binaries are built from Go modules; *packages*: binary → import path."""

    component: str
    modules: tuple[str, ...]
    packages: Mapping[str, str]
    ldflags_pattern: str = "-s -w"
    tags: tuple[str, ...] = ()
    cgo: bool = False
    needs: str = ""  # a sentence for whom the build fails
    staging: str = ""

    def ldflags(self, version: str) -> str:
        """The linker flags, which stamp *version* into the binaries."""
        return self.ldflags_pattern.format(version=version, **_parts(version))

    def replacement(self, name: str, version: str) -> str:
        """``k8s.io/api v0.36.3``: what stands for the staging module *name* of *version*."""
        return self.staging.format(name=name, **_parts(version))


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How many minor versions a component may be *older* or *newer* than kube-apiserver."""

    older: int
    newer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImage:
    """An image in a registry, pinned by the digest of its manifest list; the digest holds only for *version*."""

    repository: str
    tag: str
    digest: str

    @property
    def ref(self) -> str:
        return f"{self.repository}:{self.tag}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """An image that the cluster needs. Its name in the cluster (``ref``) is the same wherever its content came from.

    Our own build puts *binary* in the image as ``/<binary>``, its entry point, run as *user* (uid:gid). *source*: packaged Go text of ours; ""
    means that *binary* comes from *component*'s module, and has its version. *prefer_build*: where both ways are open, build.
    """

    name: str
    version: str
    binary: str
    component: str = ""
    source: str = ""
    user: str = "65532:65532"
    prefer_build: bool = False
    registry: Mapping[str, RegistryImage] = field(default_factory=dict)  # version → image

    def ref(self, version: str) -> str:
        """The name that manifests use; the domain is ours and resolves nowhere, so no host ever tries to pull it."""
        return f"kbootstrap.local/{self.name}:{version}"


def _parts(version: str) -> dict[str, str]:
    major, minor, patch = version.split(".", 2)
    return {"major": major, "minor": minor, "patch": patch}


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("releases.yml").read_text(encoding="utf-8")
    # the C loader reads the table in 5 ms, the Python one in 60
    data: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both loaders are safe
    return data


@cache
def downloads() -> tuple[Download, ...]:
    """Every official file, in the order of preference."""
    return tuple(
        Download(
            name=name,
            component=row["component"],
            url_pattern=row["url"],
            sums_pattern=row.get("sums", ""),
            provides=row["provides"],
            checksums={(v, arch): Checksum.parse(text) for v, by_arch in row["checksums"].items() for arch, text in by_arch.items()},
        )
        for name, row in _data()["downloads"].items()
    )


@cache
def builds() -> Mapping[str, Build]:
    """Component → how it is built from Go modules."""
    return {
        name: Build(
            component=name,
            modules=tuple(row["modules"]),
            packages=row["packages"],
            ldflags_pattern=row.get("ldflags", "-s -w"),
            tags=tuple(row.get("tags", ())),
            cgo=row.get("cgo", False),
            needs=row.get("needs", ""),
            staging=row.get("staging", ""),
        )
        for name, row in _data()["modules"].items()
    }


@cache
def images() -> Mapping[str, ImageRow]:
    """Name → image, in the order in which they are shown."""
    rows = {}
    for name, row in _data()["images"].items():
        registry = {v: RegistryImage(**image) for v, image in row.get("registry", {}).items()}
        rows[name] = ImageRow(name=name, **{**row, "registry": registry})
    return rows


@cache
def binaries() -> Mapping[str, str]:
    """Binary → component, for everything that is installed on hosts."""
    return {binary: download.component for download in downloads() for binary in download.provides}


def component_of(binary: str) -> str:
    """The component whose version *binary* has; UsageError names the known ones."""
    if binary not in binaries():
        raise UsageError(f"no binary is called «{binary}»", hint=f"Known: {', '.join(binaries())}.")
    return binaries()[binary]


def downloads_of(binary: str) -> tuple[Download, ...]:
    """The official files that hold *binary*, in the order of preference."""
    return tuple(download for download in downloads() if binary in download.provides)


def default_kubernetes() -> str:
    """The Kubernetes version of an inventory that names none."""
    return str(_data()["kubernetes"]["default"])


def minors() -> tuple[str, ...]:
    """The Kubernetes minors that this version of kbootstrap installs, oldest first: ``1.34`` …"""
    return tuple(_data()["kubernetes"]["minors"])


def minor_of(version: str) -> str:
    """``1.36`` of ``1.36.3``."""
    return version.rpartition(".")[0] if re.fullmatch(r"\d+\.\d+\.\d+", version) else ".".join(version.split(".")[:2])


def is_version(text: str) -> bool:
    """Whether *text* is a full version, ``1.36.3`` or ``1.37.0-rc.1``."""
    return _VERSION.fullmatch(text) is not None


@cache
def skew() -> Mapping[str, Skew]:
    """Component → its allowed distance from kube-apiserver."""
    return {name: Skew(**row) for name, row in _data()["skew"].items()}


def default_versions(kubernetes: str) -> dict[str, str]:
    """Component → version for a cluster of *kubernetes*, before the inventory's ``versions`` are laid over it."""
    return {"kubernetes": kubernetes, **_data()["defaults"]}
