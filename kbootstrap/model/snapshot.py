"""A snapshot of etcd's database, as its sidecar describes it: of which cluster, what is in it, and how it is known again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

HASH_BYTES: Final = 32  # etcd ends a snapshot with the sha256 of all that comes before
PAGE_BYTES: Final = 512  # a database is whole pages of at least this size, so the rest of a division tells whether the hash is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """*cluster_id* is of ``state.yml``, *etcd_cluster_id* etcd's own. *cas*: CA → fingerprints of all that were trusted, *sealed_by* of the
    keys that its secrets may be sealed by; both empty where the PKI could not be read. *taken*: ISO 8601, UTC.

    *quorum*: read from a member that had one; a survivor's may lack what the majority had agreed to last.
    """

    cluster: str
    cluster_id: str
    etcd_cluster_id: str
    kubernetes: str
    etcd: str
    revision: int
    keys: int
    size: int
    sha256: str
    cas: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sealed_by: tuple[str, ...] = ()
    taken: str = ""
    by: str = ""
    host: str = ""
    quorum: bool = True

    def dump(self) -> bytes:
        """The sidecar."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"


def parse(text: bytes) -> Snapshot:
    """A sidecar read back. ValueError if it is none."""
    try:
        found = json.loads(text)
        cas = {str(name): tuple(map(str, each)) for name, each in found.pop("cas").items()}
        sealed_by = tuple(map(str, found.pop("sealed_by", ())))
        return Snapshot(cas=cas, sealed_by=sealed_by, **found)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no sidecar of a snapshot: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What ``etcdutl snapshot status`` says of a file."""

    revision: int
    keys: int
    version: str = ""


def content(line: bytes) -> Content:
    """From its JSON. ValueError if it is none."""
    try:
        found = json.loads(line)
        return Content(revision=found["revision"], keys=found["totalKey"], version=found.get("version", ""))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not what etcdutl says: {error}") from None
