"""What a rule looks at: the cluster as far as it could be built, and where each of its values stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kbootstrap.inventory.finding import Finding, Severity
from kbootstrap.inventory.layers import layers_of, origin
from kbootstrap.inventory.schema import ClusterFile
from kbootstrap.inventory.tree import Document, Path, Table
from kbootstrap.model.cluster import ClusterSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A cluster under judgement; *spec* may lack hosts whose address is missing or wrong."""

    document: Document
    file: ClusterFile
    spec: ClusterSpec

    def error(self, path: Path, what: str, hint: str = "") -> Finding:
        """An error at *path* (at its value, or at what exists of the way to it)."""
        return self.document.finding(path, what, hint)

    def warning(self, path: Path, what: str, hint: str = "") -> Finding:
        """As ``error``, but only shown."""
        return replace(self.error(path, what, hint), severity=Severity.WARNING)

    def path_of(self, host: str, *setting: str) -> Path:
        """Where the value of a host's *setting* comes from; the host itself for a default."""
        layers = layers_of(self.file, host)
        layer = origin(layers, setting)
        return (*layer.path, *setting) if layer else layers[-1].path

    def listed(self, role: str) -> tuple[str, ...]:
        """The names that the file lists under ``masters`` or ``workers``, also those whose entry is wrong."""
        node = self.document.node(("hosts", role))
        return tuple(node.entries) if isinstance(node, Table) else ()
