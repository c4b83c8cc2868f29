"""The sections of ``cluster.yml`` that are the cluster's as a whole; those of hosts, and the file itself, stand in ``schema.py``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from kbootstrap.inventory import fields as f
from kbootstrap.model.cluster import ArtifactSource, EndpointKind, ImageSource, KeyType, Plugin, PodSecurityLevel


class Closed(BaseModel):
    """An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # built once, with the whole: each by itself doubles the time


class Network(Closed):
    """Pod and service ranges."""

    pods: f.Cidr | None = None
    services: f.Cidr | None = None
    host_prefix: Annotated[f.Integer, Field(ge=16, le=28)] | None = Field(None, description="Length of each host's own pod range.")
    plugin: Plugin | None = None
    mtu: Annotated[f.Integer, Field(ge=0, le=65535)] | None = Field(None, description="0: derived from the host's interface.")
    domain: f.Domain | None = None


class Endpoint(Closed):
    """How hosts reach an API server."""

    kind: EndpointKind | None = None
    address: f.Reachable | None = None
    port: f.Port | None = None


class Etcd(Closed):
    """etcd's timing and size."""

    heartbeat_ms: Annotated[f.Integer, Field(ge=10, le=10_000)] | None = None
    election_ms: Annotated[f.Integer, Field(ge=50, le=50_000)] | None = None
    quota_bytes: Annotated[f.Integer, Field(ge=64 * 1024**2, le=100 * 1024**3)] | None = None


class NodeFailure(Closed):
    """Seconds: status period, grace until unreachable, wait until pods are evicted."""

    status_period_s: Annotated[f.Integer, Field(ge=1, le=3600)] | None = None
    grace_s: Annotated[f.Integer, Field(ge=1, le=86400)] | None = None
    evict_s: Annotated[f.Integer, Field(ge=0, le=86400)] | None = None


class Certificates(Closed):
    """Lifetimes, key type, further names of the API server."""

    ca_days: Annotated[f.Integer, Field(ge=1, le=36500)] | None = None
    leaf_days: Annotated[f.Integer, Field(ge=1, le=3650)] | None = None
    renew_within_days: Annotated[f.Integer, Field(ge=0, le=3650)] | None = None
    key_type: KeyType | None = None
    extra_sans: list[f.San] | None = None
    passphrase_file: f.FilePath | None = Field(None, description="A file of mode 0600 that opens a sealed PKI directory and locked CA keys.")


class Audit(Closed):
    """The API servers' audit log."""

    rules: list[Annotated[dict[str, Any], BeforeValidator(f.audit_rule, json_schema_input_type=dict[str, Any])]] | None = Field(
        None, description="Rules of audit.k8s.io/v1; they decide behind those that keep noise and the bodies of secrets out."
    )
    max_age_days: Annotated[f.Integer, Field(ge=1, le=3650)] | None = None
    max_backups: Annotated[f.Integer, Field(ge=1, le=1000)] | None = None
    max_size_mb: Annotated[f.Integer, Field(ge=1, le=10_000)] | None = None


class PodSecurity(Closed):
    """What namespaces without labels of their own allow pods; kube-system is exempt."""

    enforce: PodSecurityLevel | None = None
    audit: PodSecurityLevel | None = None
    warn: PodSecurityLevel | None = None
    exempt: list[f.Name] | None = Field(None, description="Further namespaces to which this does not apply.")


class Artifacts(Closed):
    """Where binaries and images come from."""

    source: ArtifactSource | None = None
    mirror: f.Mirror | None = Field(None, description="A directory or an http(s) URL with the layout of the official sites.")
    images: ImageSource | None = None
    offline: f.Truth | None = Field(None, description="Ask nobody but the hosts: what the cache lacks is refused, see bundle.load.")


class Preflight(Closed):
    """Checks before anything is changed."""

    waive: Annotated[dict[str, f.Reason], f.Empty] | None = Field(None, description='check: "the reason", by the ids that preflight.run shows.')
