"""Artifacts: files that lie verified on the operator's machine, ready to be sent to hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kbootstrap.model.cluster import ArtifactSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One binary. *sha256* and *size* (bytes) are those of *path*, checked when this value was made; *trust* says why it is believed."""

    name: str
    version: str
    arch: str
    path: Path
    sha256: str
    size: int
    source: ArtifactSource
    trust: str  # "published checksum", "pinned, trusted on first use", "built here, go.sum", "from a bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One container image as a tar for ``ctr -n k8s.io images import``.

    *ref* is the name that manifests use; it does not depend on where the content came from. *digest* is what ``ctr images ls`` shows beside
    that name after the import; *sha256* and *size* are those of the tar.
    """

    name: str
    version: str
    arch: str
    ref: str
    digest: str
    path: Path
    sha256: str
    size: int
    source: ArtifactSource  # release: the registry
    trust: str
