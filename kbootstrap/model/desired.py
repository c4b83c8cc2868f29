"""Desired: everything the hosts and the cluster shall have, from inventory, PKI, artifacts and roles alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kbootstrap.model.plan import Gate
from kbootstrap.model.resource import Blob, Manifest, Node, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One host in one stage: resources in the order of their creation, and the gates behind them."""

    resources: tuple[Resource, ...] = ()
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Per host and stage what shall be there; *cluster* is what the Kubernetes API shall hold."""

    hosts: Mapping[str, Mapping[str, Wanted]]  # host → stage → Wanted
    cluster: tuple[Manifest | Node, ...] = ()
    bootstrap: tuple[Manifest, ...] = ()  # the first bindings, created with a short-lived credential

    def resources(self, host: str) -> Iterator[Resource]:
        """All resources of a host, in the order of the stages."""
        for wanted in self.hosts[host].values():
            yield from wanted.resources

    def names(self, host: str) -> dict[str, tuple[str, ...]]:
        """Kind → names: all that a probe needs to know."""
        found: dict[str, list[str]] = {}
        for resource in self.resources(host):
            found.setdefault(resource.kind, []).append(resource.name)
        return {kind: tuple(dict.fromkeys(names)) for kind, names in found.items()}

    def blobs(self, host: str) -> dict[str, Blob]:
        """sha256 → blob of everything large that *host* needs, in the order of need."""
        found = {}
        for resource in self.resources(host):
            blob = getattr(resource, "blob", None)
            if blob is not None:
                found[blob.sha256] = blob
        return found
